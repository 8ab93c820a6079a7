"""Test events: sent at once, under the same egress rules as deliveries."""

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from uuid import uuid4

import orjson

from daemon.admin import schemas
from daemon.admin.api.operation import ApiRequest, ApiResponse, operation
from daemon.admin.api.problems import Problem, invalid_member, require_found
from daemon.admin.resources.holds import refuse_if_held
from daemon.admin.resources.test_event_limit import TestEventLimit
from daemon.admin.views.test_events import TestEvent, failed_test_members, test_event_response
from daemon.core.event_types import closest_event_type
from daemon.core.model.attempts import AttemptResult, Claim
from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.core.model.operational_events import OperationalType, WebhookScope
from daemon.core.model.webhooks import WebhookEntry
from daemon.core.operational_event_types import (
    OPERATIONAL_TYPE_NAMES,
    any_sample_data,
    described,
    names_for_scope,
)
from daemon.core.policy.delivery_options import attempt_options
from daemon.core.unprintable import escape
from daemon.core.wire.body_size import MATCHED_BYTES
from daemon.core.wire.event_ids import public_test_id
from daemon.pipeline.attempt import AttemptMaker
from daemon.runtime.offload import Offload
from daemon.store import stored_events, webhooks
from daemon.store.database import Database
from daemon.store.stored_events import EventEntry


@dataclass(frozen=True, slots=True)
class TestEvents:
    """Operations on test events."""

    database: Database
    attempts: AttemptMaker
    offload: Offload
    limit: TestEventLimit = field(default_factory=TestEventLimit)

    @operation(
        "POST /api/webhooks/{id}/test",
        operation_id="sendTestEvent",
        tag="Webhooks",
        summary="Send a test event to a webhook",
        description=(
            "Sends one event at once, as deliveries are sent. It changes no counters and is never"
            " retried. When the receiver does not accept it, the answer is a 400 with the result."
            " At most four run at once per tenant; one more is a 429. While the tenant, or"
            " everything, is held, it is a 409."
        ),
        body=schemas.TestEventRequest,
        body_optional=True,
        responses={200: ("The receiver accepted the event.", schemas.TestEventResult)},
        problems=(409, 429),
    )
    async def send(self, request: ApiRequest) -> ApiResponse:
        """
        Raises Problem: 400 when the receiver did not accept the event, 404 for an unknown webhook,
        409 for a held tenant, 429 or 503 at the limit of concurrent tests. Raises PostponedError
        when our own side failed, such as the egress proxy.
        """
        tenant_id = request.tenant_id
        with self.limit.slot(tenant_id) as most_seconds:
            async with self.database.connection() as db:
                found = await webhooks.get(db, tenant_id, WebhookId(request.id))
                webhook = require_found(found, "webhook")
                await refuse_if_held(db, tenant_id)
            event = await self._event_for(webhook, request.body)
            attempted = await self.attempts.attempt(
                _claim(webhook, event, most_seconds), public_id=event.message_id
            )
            return await self.offload.run(
                lambda: _response(attempted, event),
                size=len(event.data),
                owner=request.tenant_id,
            )

    async def _event_for(self, webhook: WebhookEntry, asked: schemas.TestEventRequest) -> TestEvent:
        message_id = public_test_id(uuid4())
        if asked.event_id is not None:
            if asked.model_fields_set != {"event_id"}:
                raise invalid_member("eventId", "goes with no other member")
            return await self._copy_of(webhook.tenant_id, EventId(asked.event_id), message_id)
        wanted = _wanted(asked, webhook)
        stored = None if wanted.sample else await self._latest(webhook.tenant_id, wanted)
        if stored is not None and stored.data is not None:
            return TestEvent(message_id, wanted.event_type, stored.data, "event", note=None)
        sample = orjson.dumps(any_sample_data(wanted.event_type)).decode()
        note = _note(wanted, stored, known=names_for_scope(webhook.scope))
        return TestEvent(message_id, wanted.event_type, sample, "sample", note=note)

    async def _copy_of(self, tenant_id: TenantId, event_id: EventId, message_id: str) -> TestEvent:
        """Raises Problem: 404 for an unknown event, 422 for one that is too large."""
        async with self.database.connection() as db:
            found = await stored_events.get_event(db, tenant_id, event_id, most_bytes=MATCHED_BYTES)
        stored = require_found(found, "event")
        if stored.data is None:
            raise invalid_member("eventId", "the data of this event are too large to be sent")
        return TestEvent(message_id, stored.type, stored.data, "event", note=None)

    async def _latest(
        self, tenant_id: TenantId, wanted: schemas.TestEventRequest
    ) -> EventEntry | None:
        async with self.database.connection() as db:
            return await stored_events.find_latest(
                db,
                tenant_id,
                wanted.event_type,
                campaign_id=wanted.campaign_id,
                contact_id=wanted.contact_id,
                most_bytes=MATCHED_BYTES,
            )


def _note(
    wanted: schemas.TestEventRequest, stored: EventEntry | None, *, known: tuple[str, ...]
) -> str | None:
    """Why sample data are sent, unless they were asked for and are as those of a known type."""
    sentences: list[str] = []
    if stored is not None:
        sentences.append("The latest event that fits is too large, so sample data were sent.")
    elif not wanted.sample:
        named = {"the campaign": wanted.campaign_id, "the contact": wanted.contact_id}
        names = " and ".join(f"{what} {escape(name)}" for what, name in named.items() if name)
        of_type = f"No stored event of the type {escape(wanted.event_type)}"
        found = f"{of_type} that names {names}" if names else of_type
        sentences.append(f"{found} was found, so sample data were sent.")
    if wanted.event_type not in known:
        closest = closest_event_type(wanted.event_type, known)
        hint = f"; did you mean {closest}?" if closest else "."
        sentences.append(f"The type is none of the {described(known)}{hint}")
    return " ".join(sentences) or None


def _wanted(body: schemas.TestEventRequest, webhook: WebhookEntry) -> schemas.TestEventRequest:
    """The event to send: unless the request names a type, one that the webhook may get."""
    if webhook.scope == WebhookScope.EVENTS:
        return body
    is_given = "event_type" in body.model_fields_set
    event_type = body.event_type if is_given else OperationalType.FAILING.value
    # Operational events are not stored: there is none to look for.
    sample = body.sample or event_type in OPERATIONAL_TYPE_NAMES
    return body.model_copy(update={"event_type": event_type, "sample": sample})


def _claim(webhook: WebhookEntry, event: TestEvent, most_seconds: float | None) -> Claim:
    """The claim of an attempt that has no row."""
    options = attempt_options(webhook.options)
    own = options.timeout_seconds
    if own is not None and most_seconds is not None:
        options = replace(options, timeout_seconds=min(own, most_seconds))
    now = datetime.now(UTC)
    # Whole seconds, as in the specification's example.
    created_at = datetime.fromtimestamp(int(time.time()), UTC)
    return Claim(
        delivery_id=DeliveryId(uuid4()),
        webhook_id=webhook.id,
        tenant_id=webhook.tenant_id,
        event_id=EventId(uuid4()),
        event_type=event.event_type,
        event_created_at=created_at,
        data=event.data,
        attempt=1,
        claimed_at=now,
        leased_until=now,
        endpoint_url=webhook.settings.endpoint_url,
        secrets=webhook.secrets,
        options=options,
    )


def _response(attempted: AttemptResult, event: TestEvent) -> ApiResponse:
    """Raises Problem (400) when the receiver did not accept the event."""
    verdict = attempted.verdict
    if not verdict.delivered:
        sentence = verdict.error or "the test event was not delivered"
        raise Problem(400, sentence, members=failed_test_members(attempted, event), performed=True)
    return ApiResponse(200, test_event_response(attempted, event))
