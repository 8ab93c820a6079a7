"""
Looks in the database for lanes that are due, so that a lost wake-up never matters.

It also learns how late the oldest due delivery is. It goes through all endpoints in small pieces
(`lane_search.py`), and takes a small fixed share of the time, however many endpoints there are.
"""

import time
from asyncio import Event
from datetime import timedelta

from daemon.core.scheduling.endpoint_lane import NextDue
from daemon.core.scheduling.lanes import Lanes
from daemon.pipeline.lane_search import LaneSearch
from daemon.pipeline.lane_waker import LaneWaker
from daemon.runtime.metrics import Metrics
from daemon.store.database import Database
from daemon.store.lanes import DueLane

INTERVAL_SECONDS = 2.0
EMPTY_INTERVAL_SECONDS = 5.0  # after a sweep that found nothing pending: what comes is announced
PIECE = 250  # endpoints; some milliseconds of the database's time
USUAL_SHARE = 0.05
# Where the usual share would make a sweep of all endpoints longer than this, it takes more.
LONGEST_SWEEP_SECONDS = 10.0
MAX_SHARE = 0.25
FIRST_SHARE = 0.5  # a daemon that has just started knows no lane yet
MAX_PAUSE_SECONDS = 1.0
SOON = timedelta(seconds=LONGEST_SWEEP_SECONDS)


class LaneSync:
    """The loop; each run looks at one piece, and announces what is due in it."""

    name = "lane_sync"

    def __init__(
        self, database: Database, lanes: Lanes, waker: LaneWaker, *, metrics: Metrics
    ) -> None:
        self.wake = Event()
        self.oldest_due_seconds = 0.0
        self._database = database
        self._lanes = lanes
        self._waker = waker
        self._metrics = metrics.pipeline
        self._share = FIRST_SHARE
        self._search = LaneSearch()
        self._sweep_began = 0.0
        self._took_in_sweep = 0.0
        self._oldest_in_sweep = 0.0
        self._metrics.endpoints_due.set_function(lambda: lanes.ready)
        self._metrics.in_flight.set_function(lambda: lanes.in_flight)
        self._metrics.in_flight_limit.set(lanes.slots)

    async def run_once(self) -> float:
        began = time.monotonic()
        if self._search.begins:
            self._sweep_began, self._took_in_sweep, self._oldest_in_sweep = began, 0.0, 0.0
        async with self._database.connection() as db:
            due = await self._search.look(db, limit=PIECE, soon=SOON)
        took = time.monotonic() - began
        self._took_in_sweep += took
        for lane in due:
            self._announce(lane)
        pause = min(took / self._share - took, MAX_PAUSE_SECONDS)
        if self._search.begins:
            self._end_sweep()
            is_announced = not self._search.found_any and self._database.can_listen
            interval = EMPTY_INTERVAL_SECONDS if is_announced else INTERVAL_SECONDS
            pause = max(pause, self._sweep_began + interval - time.monotonic())
        self._observe()
        return pause

    def begin_again(self) -> None:
        """Begin a sweep at once: endpoints that were held may have anything due."""
        self._search.begin_again()
        self.wake.set()

    def _announce(self, lane: DueLane) -> None:
        if not lane.limited:
            self._oldest_in_sweep = max(self._oldest_in_sweep, -lane.upcoming.due_in)
        now = time.monotonic()
        due = NextDue(now + lane.upcoming.due_in, lane.upcoming.at)
        if not self._lanes.knows(lane.webhook_id, due, now=now):
            self._waker.announce(
                *(lane.webhook_id, lane.upcoming.due_in, lane.upcoming.at),
                tenant_id=lane.tenant_id,
                failing=lane.failing,
                unspaced=lane.upcoming.due_in <= 0,
            )

    def _end_sweep(self) -> None:
        self.oldest_due_seconds = self._oldest_in_sweep
        self._share = max(USUAL_SHARE, min(MAX_SHARE, self._took_in_sweep / LONGEST_SWEEP_SECONDS))
        self._lanes.forget_idle()

    def _observe(self) -> None:
        self.oldest_due_seconds = max(self.oldest_due_seconds, self._oldest_in_sweep)
        self._metrics.pending_lag_seconds.set(self.oldest_due_seconds)
