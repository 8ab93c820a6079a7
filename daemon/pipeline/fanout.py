"""
Fan-out: each committed event becomes one delivery for each webhook that wants it.

Taking an event out of the inbox and making its deliveries is one transaction, so that no event is
lost or doubled, whichever process dies. The transaction need not be durable: if a crash of the
server undoes it, the inbox has the event again.
"""

import asyncio
import time
from collections.abc import Sequence

from daemon.pipeline.event_matcher import match_events
from daemon.pipeline.lane_waker import LaneWaker
from daemon.runtime.metrics import Metrics
from daemon.store import deliveries, event_inbox, subscriptions
from daemon.store.database import Database
from daemon.store.deliveries import NewDelivery
from daemon.store.event_inbox import EMPTY_SNAPSHOT, InboxBatch
from daemon.store.session import Connection

BATCH = 500
INSERTED_AT_ONCE = 2000
POLL_SECONDS = 1.0
FULL_SCAN_SECONDS = 10.0
ALL_LOCKED_SECONDS = 0.1  # a whole batch for webhooks that are locked: no need to hurry


class Fanout:
    """The loop; it announces each webhook that got deliveries."""

    name = "fanout"

    def __init__(self, database: Database, waker: LaneWaker, *, metrics: Metrics) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._waker = waker
        self._metrics = metrics
        self._snapshot = EMPTY_SNAPSHOT
        self._full_scan_at = 0.0
        self._behind_since: float | None = None

    def behind_seconds(self) -> float:
        """For how long the inbox has held more than one batch, 0 if it does not."""
        return 0.0 if self._behind_since is None else time.monotonic() - self._behind_since

    async def run_once(self) -> float:
        now = time.monotonic()
        if now >= self._full_scan_at:
            self._snapshot = EMPTY_SNAPSHOT
        try:
            batch, made = await self._fan_out()
        except BaseException:
            self._snapshot = EMPTY_SNAPSHOT  # what was taken is back in the inbox
            raise
        is_last = batch.count < BATCH
        if is_last:
            if self._snapshot is EMPTY_SNAPSHOT:
                self._full_scan_at = now + FULL_SCAN_SECONDS
            self._snapshot = batch.snapshot
            self._behind_since = None
        elif self._behind_since is None:
            self._behind_since = now
        tenants = {event.id: event.tenant_id for event in batch.events}
        for webhook_id, event_id in {new.webhook_id: new.event_id for new in made}.items():
            self._waker.announce(webhook_id, 0.0, batch.at, tenant_id=tenants[event_id])
        self._metrics.pipeline.events_fanned_out.inc(len(batch.events))
        self._metrics.pipeline.deliveries_created.inc(len(made))
        if is_last:
            return POLL_SECONDS
        return 0.0 if made else ALL_LOCKED_SECONDS

    async def _fan_out(self) -> tuple[InboxBatch, list[NewDelivery]]:
        async with self._database.transaction(durable=False) as db:
            batch = await event_inbox.take_batch(db, self._snapshot, limit=BATCH)
            wanted = await match_events(db, batch.events) if batch.events else []
            if not wanted:
                return batch, []
            made = await _without_locked(db, wanted)
            for start in range(0, len(made), INSERTED_AT_ONCE):
                await deliveries.insert(db, made[start : start + INSERTED_AT_ONCE])
            return batch, made


async def _without_locked(db: Connection, wanted: Sequence[NewDelivery]) -> list[NewDelivery]:
    """The deliveries that can be inserted now; the others' events go back into the inbox."""
    insertable = await subscriptions.lock_for_insert(db, list({new.webhook_id for new in wanted}))
    locked = [new for new in wanted if new.webhook_id not in insertable]
    if locked:
        await event_inbox.return_events(db, [(new.event_id, new.webhook_id) for new in locked])
    return [new for new in wanted if new.webhook_id in insertable]
