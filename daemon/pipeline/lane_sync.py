"""
Reads from the database which lanes have something pending, so that a lost wake-up never matters.

It also learns how late the oldest due delivery is. It takes a small fixed share of the time,
however long the query takes.
"""

import asyncio
import time

from daemon.core.scheduling.lanes import Lanes
from daemon.pipeline.lane_waker import LaneWaker
from daemon.runtime.metrics import Metrics
from daemon.store.database import Database
from daemon.store.lanes import pending_lanes

INTERVAL_SECONDS = 1.0
MAX_SHARE = 0.05
MAX_INTERVAL_SECONDS = 10.0


class LaneSync:
    """The loop; it announces every active endpoint that has something pending."""

    name = "lane_sync"

    def __init__(
        self, database: Database, lanes: Lanes, waker: LaneWaker, *, metrics: Metrics
    ) -> None:
        self.wake = asyncio.Event()
        self.oldest_due_seconds = 0.0
        self._database = database
        self._lanes = lanes
        self._waker = waker
        self._metrics = metrics.pipeline

    async def run_once(self) -> float:
        began = time.monotonic()
        async with self._database.connection() as db:
            pending = await pending_lanes(db)
        took = time.monotonic() - began
        for lane in pending:
            self._waker.announce(
                *(lane.webhook_id, lane.upcoming.due_in, lane.upcoming.at),
                tenant_id=lane.tenant_id,
                failing=lane.failing,
            )
        self._lanes.forget_idle()
        self.oldest_due_seconds = max([0.0, *(-lane.upcoming.due_in for lane in pending)])
        self._metrics.pending_lag_seconds.set(self.oldest_due_seconds)
        self._metrics.endpoints_due.set(self._lanes.ready)
        self._metrics.in_flight.set(self._lanes.in_flight)
        return min(max(INTERVAL_SECONDS, took / MAX_SHARE), MAX_INTERVAL_SECONDS)
