"""
Inserts the first attempts of matched events, and removes the events from the inbox.

Both are one statement, fenced by the lease on the inbox row, so that no event is lost or doubled,
whichever process dies. It need not be durable where it removes all of its events: if a crash of the
server undoes it, the inbox has them again. An event that stays is removed with its last result, so
rows that were inserted before must not be undone.
"""

import heapq
import time
from collections.abc import Iterator, Sequence
from math import inf

from daemon.core.model.ids import DeliveryId, WebhookId
from daemon.core.model.value import value
from daemon.core.scheduling.inbox_turns import InboxKey
from daemon.pipeline.lane_waker import LaneWaker
from daemon.runtime.metrics import Metrics
from daemon.store import deliveries
from daemon.store.database import Database
from daemon.store.deliveries import Inserted, NewDelivery
from daemon.store.delivery_ids import new_delivery_id
from daemon.store.leased_events import LeasedEvent, Leasing

# Places; a full scan of the inbox finds the others.
MOST_RETURNED = 100_000


@value(frozen=True, slots=True)
class MatchedEvent:
    """
    An event with the webhooks that want it, by id, and the size of its data as printed.

    `ids` are those of the deliveries, new ones by default. The event leaves the inbox with them if
    it `ends`.
    """

    leased: LeasedEvent
    webhooks: Sequence[WebhookId]
    payload_bytes: int
    ids: Sequence[DeliveryId] | None = None
    ends: bool = True

    @property
    def copied_bytes(self) -> int:
        """The size of the data of all its deliveries: each has its own copy."""
        return len(self.webhooks) * self.payload_bytes


class DeliveryInserter:
    """Inserts deliveries and announces each webhook that got some."""

    def __init__(
        self, database: Database, waker: LaneWaker, *, leasing: Leasing, metrics: Metrics
    ) -> None:
        self._database = database
        self._waker = waker
        self._leasing = leasing
        self._metrics = metrics.pipeline
        self._returned: list[tuple[float, InboxKey]] = []

    def due_again(self, *, now: float) -> Iterator[InboxKey]:
        """Remove and yield the places of events that went back into the inbox and are due again."""
        while self._returned and self._returned[0][0] <= now:
            yield heapq.heappop(self._returned)[1]

    def next_due_in(self, *, now: float) -> float:
        """Seconds until events that went back are due again; infinite if none did."""
        return self._returned[0][0] - now if self._returned else inf

    async def insert(self, matched: Sequence[MatchedEvent], *, for_all: bool = False) -> Inserted:
        """
        Insert all deliveries of these events; `matched` must not be empty.

        Events of which the lease was lost are left to the daemon that has them now; those whose
        rows others hold are returned as `locked`. One `for_all` waits for no table's lock longer
        than a moment: DatabaseBusyError.
        """
        may_be_undone = all(each.ends for each in matched) and not for_all
        lent = (
            self._database.connection()
            if may_be_undone
            else self._database.transaction(for_all=for_all)
        )
        async with lent as db:
            inserted = await deliveries.insert_all(
                db,
                [each.leased for each in matched],
                [delivery for each in matched for delivery in _deliveries(each, each.webhooks)],
                ends=[each.ends for each in matched],
                daemon_key=self._leasing.daemon_key,
                most_bytes=self._leasing.most_bytes,
            )
        self._announce(inserted)
        return inserted

    async def insert_some(
        self, matched: MatchedEvent, webhooks: Sequence[WebhookId]
    ) -> LeasedEvent | None:
        """
        Insert the deliveries of an event to some of its webhooks, the next by id; others follow.

        Returns the event with its new lease; None if nothing was inserted: the lease was lost, or
        another transaction holds its row.
        """
        async with self._database.connection() as db:
            inserted = await deliveries.insert_some(
                db,
                matched.leased,
                _deliveries(matched, webhooks),
                daemon_key=self._leasing.daemon_key,
                most_bytes=self._leasing.most_bytes,
                lease=self._leasing.long_lease,
            )
        self._announce(inserted)
        return inserted.events[0] if inserted.events else None

    def _announce(self, inserted: Inserted) -> None:
        now = time.monotonic()
        for key, seconds in inserted.returned.items():
            if len(self._returned) < MOST_RETURNED:
                heapq.heappush(self._returned, (now + seconds, key))
        new = inserted.deliveries
        self._metrics.deliveries_created.inc(len(new))
        for webhook_id, tenant_id in {each.webhook_id: each.tenant_id for each in new}.items():
            self._waker.announce(webhook_id, 0.0, inserted.at, tenant_id=tenant_id)


def _deliveries(matched: MatchedEvent, webhooks: Sequence[WebhookId]) -> list[NewDelivery]:
    ids = matched.ids or [new_delivery_id() for _ in webhooks]
    return [
        NewDelivery(delivery_id, webhook_id, matched.leased, matched.payload_bytes)
        for delivery_id, webhook_id in zip(ids, webhooks, strict=True)
    ]
