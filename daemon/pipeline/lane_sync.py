"""
The sweeper: reads the truth about every lane, so that no lost wake-up can matter.

It is also who knows how late the oldest due delivery is. It takes a fixed small share of its time,
however long the truth takes to read.
"""

import asyncio
import time

from daemon.core.scheduling.lanes import Lanes
from daemon.pipeline.lane_waker import LaneWaker
from daemon.runtime.metrics import Metrics
from daemon.store.database import Database
from daemon.store.lanes import find_due_lanes

INTERVAL_SECONDS = 1.0
LARGEST_SHARE = 0.05
LONGEST_INTERVAL_SECONDS = 10.0


class LaneSync:
    """The loop; it rings `bell` for every endpoint that has something waiting."""

    name = "sweep"

    def __init__(
        self, database: Database, lanes: Lanes, bell: LaneWaker, *, metrics: Metrics
    ) -> None:
        self.wake = asyncio.Event()
        self.lag_seconds = 0.0
        self._database = database
        self._lanes = lanes
        self._bell = bell
        self._metrics = metrics

    async def run_once(self) -> float:
        began = time.monotonic()
        async with self._database.connection() as db:
            waiting = await find_due_lanes(db)
        took = time.monotonic() - began
        for endpoint in waiting:
            self._bell.announce(
                endpoint.webhook_id,
                endpoint.upcoming.due_in,
                endpoint.upcoming.at,
                failing=endpoint.consecutive_failures > 0,
            )
        self._lanes.forget_idle()
        self.lag_seconds = max([0.0, *(-endpoint.upcoming.due_in for endpoint in waiting)])
        self._metrics.pipeline.pending_lag_seconds.set(self.lag_seconds)
        self._metrics.pipeline.endpoints_due.set(self._lanes.due)
        self._metrics.pipeline.in_flight.set(self._lanes.in_flight)
        interval = max(INTERVAL_SECONDS, took / LARGEST_SHARE)
        return min(interval, LONGEST_INTERVAL_SECONDS)
