"""
Inserts the first attempts of matched events, and removes the events from the inbox.

Both are one transaction, fenced by the lease on the inbox row, so that no event is lost or doubled,
whichever process dies. It need not be durable: if a crash of the server undoes it, the inbox has
the event again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from daemon.core.model.ids import WebhookId
from daemon.pipeline.lane_waker import LaneWaker
from daemon.runtime.metrics import Metrics
from daemon.runtime.uuid7 import new_delivery_id
from daemon.store import deliveries, inbox_leases, subscriptions
from daemon.store.database import Database
from daemon.store.deliveries import NewDelivery
from daemon.store.event_inbox import LeasedEvent, Leasing
from daemon.store.session import Connection


@dataclass(frozen=True, slots=True)
class MatchedEvent:
    """An event with the webhooks that want it, by id, and the size of its data as printed."""

    leased: LeasedEvent
    webhooks: Sequence[WebhookId]
    payload_bytes: int


@dataclass(frozen=True, slots=True)
class Inserted:
    """How many deliveries were inserted, and how many events wait for webhooks that are locked."""

    deliveries: int
    returned: int


class DeliveryInserter:
    """Inserts deliveries and announces each webhook that got some."""

    def __init__(
        self, database: Database, waker: LaneWaker, *, leasing: Leasing, metrics: Metrics
    ) -> None:
        self._database = database
        self._waker = waker
        self._leasing = leasing
        self._metrics = metrics.pipeline

    async def insert(self, matched: Sequence[MatchedEvent]) -> Inserted:
        """
        Insert all deliveries of these events.

        Events of which the lease was lost are left to the daemon that has them now.
        """
        if not matched:
            return Inserted(0, 0)
        async with self._database.transaction(durable=False) as db:
            ours = await inbox_leases.finish(
                db, [each.leased for each in matched], daemon_key=self._leasing.daemon_key
            )
            kept = [m for m in matched if (m.leased.event.id, m.leased.event.only) in ours.events]
            new, returned = await self._insert(db, kept)
        self._metrics.events_fanned_out.inc(len(kept))
        self._announce(new, ours.at)
        return Inserted(len(new), returned)

    async def insert_some(
        self, matched: MatchedEvent, webhooks: Sequence[WebhookId]
    ) -> LeasedEvent | None:
        """
        Insert the deliveries of an event to some of its webhooks, the next by id; others follow.

        Returns the event with its new lease; None if the lease was lost, and nothing was inserted.
        """
        async with self._database.transaction(durable=False) as db:
            prolonged = await inbox_leases.prolong(
                db,
                [matched.leased],
                daemon_key=self._leasing.daemon_key,
                lease=self._leasing.lease,
                served_up_to=webhooks[-1],
            )
            some = replace(matched, webhooks=webhooks)
            new, _ = await self._insert(db, [some]) if prolonged else ([], 0)
        if not prolonged:
            return None
        self._announce(new, prolonged[0].leased_until - self._leasing.lease)
        return prolonged[0]

    async def _insert(
        self, db: Connection, matched: Sequence[MatchedEvent]
    ) -> tuple[list[NewDelivery], int]:
        new = [delivery for each in matched for delivery in _deliveries(each)]
        if not new:
            return [], 0
        wanted = list({each.webhook_id for each in new})
        insertable = await subscriptions.lock_for_insert(db, wanted)
        locked = [each for each in new if each.webhook_id not in insertable]
        if locked:
            await inbox_leases.return_events(
                db, [(each.event_id, each.webhook_id, each.tenant_id) for each in locked]
            )
        now = [each for each in new if each.webhook_id in insertable]
        if now:
            await deliveries.insert(db, now, most_bytes=self._leasing.most_bytes)
        return now, len(locked)

    def _announce(self, new: Sequence[NewDelivery], at: datetime | None) -> None:
        """Announce deliveries that are due at the time of their transaction."""
        self._metrics.deliveries_created.inc(len(new))
        for webhook_id, tenant_id in {each.webhook_id: each.tenant_id for each in new}.items():
            self._waker.announce(webhook_id, 0.0, at, tenant_id=tenant_id)


def _deliveries(matched: MatchedEvent) -> list[NewDelivery]:
    event = matched.leased.event
    return [
        NewDelivery(
            id=new_delivery_id(),
            webhook_id=webhook_id,
            tenant_id=event.tenant_id,
            event_id=event.id,
            event_created_at=event.created_at,
            payload_bytes=matched.payload_bytes,
        )
        for webhook_id in matched.webhooks
    ]
