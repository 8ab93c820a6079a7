"""Deliveries and events over HTTP: what was sent, what came back, and once more, please."""

from dataclasses import dataclass
from typing import Any

from daemon.admin import schemas
from daemon.admin.api.operation import Call, Link, Operation, Reply
from daemon.admin.api.problems import Problem, not_found
from daemon.admin.resources.cursor import _cursor, _place
from daemon.admin.views import deliveries, json_text
from daemon.core.event_types import EVENT_TYPES, sample_data
from daemon.core.model.cursor import Cursor
from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.core.wire.event_ids import public_event_id
from daemon.runtime.offload import Offload
from daemon.store import attempts as history
from daemon.store import event_log, retries, webhooks
from daemon.store.database import Connection, Database
from daemon.store.event_log import EventEntry
from daemon.store.listing import ListFilter

LONGEST_DATA = 1024 * 1024


@dataclass(frozen=True, slots=True)
class DeliveryDesk:
    """What is done with deliveries and events."""

    database: Database
    offload: Offload

    def operations(self) -> list[Operation]:
        return [
            Operation(
                *("GET", "/api/webhooks/{id}/deliveries", "listDeliveries", "Deliveries"),
                summary="List a webhook's attempts, newest first",
                handle=self.page,
                query=schemas.DeliveriesQuery,
                replies={200: ("A page of attempts.", schemas.Deliveries)},
            ),
            Operation(
                *("GET", "/api/deliveries/{id}", "getDelivery", "Deliveries"),
                summary="Look at one attempt in full",
                description="The request as it was sent, the answer as it is kept, the siblings.",
                handle=self.get,
                id_name="delivery",
                replies={200: ("The attempt.", schemas.DeliveryInFull)},
            ),
            Operation(
                *("POST", "/api/deliveries/{id}/retry", "retryDelivery", "Deliveries"),
                summary="Deliver once more, now",
                description=(
                    "An attempt that waits is brought forward; else a new one follows the last."
                    " A paused webhook is a 409."
                ),
                handle=self.retry,
                id_name="delivery",
                replies={202: ("The attempt that is now due.", schemas.RetryStarted)},
                problems=(409,),
                links={"look": Link("getDelivery")},
            ),
            Operation(
                *("GET", "/api/events", "listEvents", "Events"),
                summary="List stored events, newest first",
                handle=self.events,
                query=schemas.EventsQuery,
                replies={200: ("A page of events.", schemas.Events)},
            ),
            Operation(
                *("GET", "/api/events/{id}", "getEvent", "Events"),
                summary="Look at an event and its deliveries",
                description="The id is a UUID, or `evt_…` as receivers know it.",
                handle=self.event,
                id_name="event",
                replies={200: ("The event.", schemas.EventInFull)},
            ),
            Operation(
                *("GET", "/api/event-types", "listEventTypes", "Events"),
                summary="The 13 types of events, with samples",
                handle=self.event_types,
                replies={200: ("All types.", schemas.EventTypes)},
            ),
        ]

    async def page(self, call: Call) -> Reply:
        query: schemas.DeliveriesQuery = call.query
        webhook_id = WebhookId(call.id)
        which = ListFilter(query.event_type, query.status, query.from_, query.to)
        async with self.database.connection() as db:
            await _check_webhook(db, call.tenant, webhook_id)
            place = await self._attempt_place(db, webhook_id, query.before)
            found, more = await history.list_for_webhook(
                db, webhook_id, which, before=place, limit=query.limit
            )
        listed = [deliveries.delivery(each) for each in found]
        return Reply(200, schemas.Deliveries(deliveries=listed, next=_cursor(more)))

    async def get(self, call: Call) -> Reply:
        async with self.database.connection() as db:
            found = await history.get_details(db, call.tenant, DeliveryId(call.id))
            if found is None:
                raise not_found("delivery")
            siblings = await history.list_for_event(
                db,
                call.tenant,
                found.attempt.event_id,
                webhook_id=found.attempt.webhook_id,
            )
        return await self.offload.run(
            lambda: Reply(200, deliveries.delivery_in_full(found, siblings)),
            size=len(found.data or ""),
        )

    async def retry(self, call: Call) -> Reply:
        async with self.database.transaction() as db:
            retried = await retries.retry_now(db, call.tenant, DeliveryId(call.id))
        match retried:
            case None:
                raise not_found("delivery")
            case retries.WebhookPaused():
                raise Problem(409, "the webhook is paused: resume it first")
            case retries.RetryDue():
                return Reply(202, schemas.RetryStarted(id=retried.delivery_id))

    async def events(self, call: Call) -> Reply:
        query: schemas.EventsQuery = call.query
        which = ListFilter(query.type, None, query.from_, query.to)
        async with self.database.connection() as db:
            place = await self._event_place(db, call.tenant, query.before)
            found, more = await event_log.list_events(
                db, call.tenant, which, before=place, limit=query.limit
            )
        listed = [schemas.Event(**_members(each)) for each in found]
        return Reply(200, schemas.Events(events=listed, next=_cursor(more)))

    async def event(self, call: Call) -> Reply:
        event_id = EventId(call.id)
        async with self.database.connection() as db:
            found = await event_log.get_event(db, call.tenant, event_id)
            if found is None:
                raise not_found("event")
            attempts = await history.list_for_event(db, call.tenant, event_id)
        cut = len(found.data or "") > LONGEST_DATA
        return Reply(
            200,
            schemas.EventInFull(
                **_members(found),
                data=None if cut else json_text.spliced(found.data),
                data_cut=cut,
                data_size=len(found.data or ""),
                deliveries=[deliveries.delivery(each) for each in attempts],
            ),
        )

    async def event_types(self, _: Call) -> Reply:
        return Reply(
            200,
            schemas.EventTypes(
                event_types=[
                    schemas.EventType(
                        name=each.name,
                        description=each.description,
                        fields=list(each.fields),
                        sample=sample_data(each.name),
                    )
                    for each in EVENT_TYPES
                ]
            ),
        )

    async def _attempt_place(
        self, db: Connection, webhook_id: WebhookId, before: schemas.Before | None
    ) -> Cursor:
        if before is None or before.at is not None:
            return _place(before)
        assert before.id is not None
        place = await history.cursor_of(db, webhook_id, before.id)
        if place is None:
            raise Problem(404, "before: there is no such delivery of this webhook")
        return place

    async def _event_place(
        self, db: Connection, tenant: TenantId, before: schemas.Before | None
    ) -> Cursor:
        if before is None or before.at is not None:
            return _place(before)
        assert before.id is not None
        found = await event_log.get_event(db, tenant, EventId(before.id))
        if found is None or found.created_at is None:
            raise Problem(404, "before: there is no such event")
        return Cursor(found.created_at, before.id)


async def _check_webhook(db: Connection, tenant: TenantId, webhook_id: WebhookId) -> None:
    if await webhooks.get(db, tenant, webhook_id) is None:
        raise not_found("webhook")


def _members(entry: EventEntry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "message_id": public_event_id(entry.id),
        "type": entry.type,
        "created_at": entry.created_at,
    }
