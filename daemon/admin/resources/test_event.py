"""Test events: sent at once through the same door as every delivery, and without consequences."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import orjson

from daemon.admin import schemas
from daemon.admin.api.operation import Call, Operation, Reply
from daemon.admin.api.problems import Problem, not_found
from daemon.admin.views import deliveries
from daemon.core.event_types import sample_data
from daemon.core.model.attempts import AttemptResult, Claim
from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.core.model.webhooks import WebhookEntry
from daemon.core.wire import body as wire_body
from daemon.core.wire.event_ids import public_test_id
from daemon.pipeline.attempt import AttemptMaker
from daemon.runtime.offload import Offload
from daemon.store import event_log, webhooks
from daemon.store.database import Database

# People's tests must not take the sockets of what they test for, nor one another's.
AT_ONCE = 16
OF_ONE_TENANT = 4
LATER = {"Retry-After": "5"}


@dataclass(frozen=True, slots=True)
class Trial:
    """An event to be tried: its data is JSON text, and where it comes from is told."""

    message_id: str
    event_type: str
    data: str
    data_from: str


class Seats:
    """Who finds none is told so at once: a queue would be as long as anybody likes."""

    def __init__(self) -> None:
        self._taken: Counter[TenantId] = Counter()

    @contextmanager
    def taken_by(self, tenant: TenantId) -> Iterator[None]:
        """Raises Problem when all are taken, or all that one tenant may have."""
        if self._taken[tenant] >= OF_ONE_TENANT:
            sentence = f"{OF_ONE_TENANT} test events are on their way: wait for one of them"
            raise Problem(429, sentence, headers=LATER)
        if self._taken.total() >= AT_ONCE:
            raise Problem(503, "too many test events are on their way just now", headers=LATER)
        self._taken[tenant] += 1
        try:
            yield
        finally:
            self._taken[tenant] -= 1
            if not self._taken[tenant]:
                del self._taken[tenant]


class TrialDesk:
    """What is done to try out a webhook."""

    def __init__(self, database: Database, attempts: AttemptMaker, offload: Offload) -> None:
        self._database = database
        self._attempts = attempts
        self._seats = Seats()
        self._offload = offload

    def operations(self) -> list[Operation]:
        return [
            Operation(
                *("POST", "/api/webhooks/{id}/test", "testWebhook", "Webhooks"),
                summary="Send a test event now",
                description=(
                    "Through the same sender and guard as every delivery. It touches no counters"
                    " and is never retried. A receiver that does not take it is a 400, with what"
                    " came of it. Four at a time are made for one tenant; one more is a 429."
                ),
                handle=self.test,
                body=schemas.TestEvent,
                body_optional=True,
                replies={200: ("The receiver took it.", schemas.TestResult)},
                problems=(413, 415, 429),
            )
        ]

    async def test(self, call: Call) -> Reply:
        with self._seats.taken_by(call.tenant):
            return await self._tried(call)

    async def _tried(self, call: Call) -> Reply:
        wanted: schemas.TestEvent = call.body
        async with self._database.connection() as db:
            entry = await webhooks.get(db, call.tenant, WebhookId(call.id))
        if entry is None:
            raise not_found("webhook")
        trial = await self._trial(call.tenant, wanted)
        claim = _claim_of(entry, trial)
        attempted = await self._attempts.attempt(claim, public_id=trial.message_id)
        return await self._offload.run(lambda: _told(attempted, trial), size=len(trial.data))

    async def _trial(self, tenant: TenantId, wanted: schemas.TestEvent) -> Trial:
        message_id = public_test_id(uuid4())
        if not wanted.sample:
            async with self._database.connection() as db:
                found = await event_log.find_latest(
                    db,
                    tenant,
                    wanted.event_type,
                    campaign_id=wanted.campaign_id,
                    contact_id=wanted.contact_id,
                )
            if found is not None and found.data is not None:
                return Trial(message_id, wanted.event_type, found.data, "event")
        sample = orjson.dumps(sample_data(wanted.event_type)).decode()
        return Trial(message_id, wanted.event_type, sample, "sample")


def _claim_of(entry: WebhookEntry, trial: Trial) -> Claim:
    """As of an attempt that nobody will ever claim."""
    now = datetime.now(UTC)
    # To the second, as the specification's example has it.
    created_at = datetime.fromtimestamp(int(time.time()), UTC)
    return Claim(
        delivery_id=DeliveryId(uuid4()),
        webhook_id=entry.id,
        tenant_id=entry.tenant_id,
        event_id=EventId(uuid4()),
        event_type=trial.event_type,
        event_created_at=created_at,
        data=trial.data,
        attempt=1,
        claimed_at=now,
        leased_until=now,
        endpoint_url=entry.settings.endpoint_url,
        secrets=entry.secrets,
    )


def _told(attempted: AttemptResult, trial: Trial) -> Reply:
    claim, verdict = attempted.claim, attempted.verdict
    body = wire_body.event_body(
        *(claim.event_id, claim.event_type, claim.event_created_at, claim.data),
        public_id=trial.message_id,
    )
    request, response, timing = deliveries.outcome_of_test(attempted, body)
    if not verdict.delivered:
        raise Problem(
            400,
            verdict.error or "the test failed",
            more={
                "success": False,
                "eventId": trial.message_id,
                "eventType": trial.event_type,
                "dataFrom": trial.data_from,
                "statusCode": verdict.status,
                "durationMs": attempted.outcome.took_ms,
                "timing": timing.model_dump(by_alias=True),
                "request": None if request is None else request.model_dump(by_alias=True),
                "response": None if response is None else response.model_dump(by_alias=True),
            },
        )
    assert verdict.status is not None
    assert response is not None
    return Reply(
        200,
        schemas.TestResult(
            success=True,
            event_id=trial.message_id,
            event_type=trial.event_type,
            data_from="event" if trial.data_from == "event" else "sample",
            status_code=verdict.status,
            duration_ms=attempted.outcome.took_ms,
            timing=timing,
            request=request,
            response=response,
        ),
    )
