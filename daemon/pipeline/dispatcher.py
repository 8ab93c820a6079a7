"""
The worker: leases what is due, as the lanes' turns have it, and sets each attempt going.

It stops claiming first, lets what is in flight finish, and gives back what it could not begin or
end; the lease does the same for it when it is killed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import structlog

from daemon.core.errors import PostponedError
from daemon.core.model.attempts import AttemptResult, Claim
from daemon.core.scheduling.lanes import NOTHING, Lanes, LaneTurn, NextDue
from daemon.pipeline.lane_waker import LaneWaker
from daemon.runtime.metrics import Metrics
from daemon.store import claims
from daemon.store.claims import LaneClaims
from daemon.store.database import UNAVAILABLE, Database

log = structlog.get_logger()

POLL_SECONDS = 1.0
# With this much in flight a claim for one free slot costs more than it brings.
BUSY_IN_FLIGHT = 192
LINGER_SECONDS = 0.005
# What the bodies in flight may take; the last claim may go over it.
BYTES_IN_FLIGHT = 64 * 1024 * 1024
LARGEST_CLAIM = 256
GIVE_BACK_SECONDS = 2.0


class Dispatcher:
    """The loop. `make` makes one attempt; `backlog` tells how many results wait to be stored."""

    name = "worker"

    def __init__(
        self,
        database: Database,
        lanes: Lanes,
        bell: LaneWaker,
        *,
        make: Callable[[Claim], Awaitable[AttemptResult]],
        backlog: Callable[[], int],
        lease: timedelta,
        metrics: Metrics,
    ) -> None:
        self.wake = bell.wake
        self._database = database
        self._lanes = lanes
        self._make = make
        self._backlog = backlog
        self._lease = lease
        self._metrics = metrics
        self._tasks: set[asyncio.Task[None]] = set()
        self._bytes = 0
        self._mean_bytes = 1024.0
        self._unmade: list[Claim] = []
        self._stopping = False
        self._loop = asyncio.get_running_loop()

    async def run_once(self) -> float:
        if self._unmade:
            await self._give_back()
        if self._lanes.in_flight >= BUSY_IN_FLIGHT:
            await asyncio.sleep(LINGER_SECONDS)
        now = time.monotonic()
        turns = self._lanes.turns(now=now, room=self._room())
        if not turns:
            soon = self._lanes.next_due_in(now=now)
            return POLL_SECONDS if soon is None else min(soon, POLL_SECONDS) + 0.0005
        for claim in await self._claim(turns):
            self._begin(claim)
        return 0.0

    @property
    def in_flight(self) -> int:
        return len(self._tasks)

    def close(self) -> None:
        """Begin nothing more: what a claim under way still brings is given back by `drain`."""
        self._stopping = True

    async def drain(self, *, within: timedelta) -> None:
        """Let what is in flight finish, for so long; then give the rest back, unmade."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=within.total_seconds())
            for task in late:
                task.cancel()
            if late:
                log.warning("worker.drain_timed_out", interrupted=len(late))
                await asyncio.wait(late)
        await self._give_back()

    def _room(self) -> int:
        """
        How many attempts may be begun now, for the memory and the results that wait.

        A result that is not stored yet takes a place like a request under way: whatever is killed,
        no more than that is made twice.
        """
        by_place = self._lanes.slots - self._lanes.in_flight - self._backlog()
        by_memory = int((BYTES_IN_FLIGHT - self._bytes) / self._mean_bytes)
        if self._lanes.in_flight == 0:
            by_memory = max(1, by_memory)
        return min(LARGEST_CLAIM, by_memory, by_place)

    async def _claim(self, turns: Sequence[LaneTurn]) -> list[Claim]:
        began = time.perf_counter()
        try:
            # Need not be durable: a lease that a crash undoes is only a lease that lapsed early.
            async with self._database.connection() as db:
                catches = await claims.claim(db, turns, lease=self._lease)
        except BaseException:
            self._lanes.unanswered(turns, now=time.monotonic())
            raise
        self._metrics.pipeline.claim_seconds.observe(time.perf_counter() - began)
        now = time.monotonic()
        for turn in turns:
            self._answer(turn, catches.get(turn.webhook_id), now)
        return [claim for catch in catches.values() for claim in catch.claims]

    def _answer(self, turn: LaneTurn, catch: LaneClaims | None, now: float) -> None:
        if catch is None:  # paused or deleted: its lane sleeps until somebody is told otherwise
            self._lanes.answered(turn, taken=0, last_due=None, upcoming=NOTHING, now=now)
            return
        upcoming = NOTHING
        if catch.upcoming is not None:
            upcoming = NextDue(now + catch.upcoming.due_in, catch.upcoming.at)
        self._lanes.answered(
            turn, taken=len(catch.claims), last_due=catch.last_due, upcoming=upcoming, now=now
        )

    def _begin(self, claim: Claim) -> None:
        if self._stopping:
            self._unmade.append(claim)
            self._lanes.finished(claim.webhook_id, took_ms=0, delivered=True, now=time.monotonic())
            return
        size = len(claim.data or "")
        self._bytes += size
        self._mean_bytes += 0.05 * (max(size, 1024) - self._mean_bytes)
        task = self._loop.create_task(self._run(claim, size))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, claim: Claim, size: int) -> None:
        took_ms, delivered = 0, False
        try:
            attempted = await self._make(claim)
            took_ms, delivered = attempted.outcome.took_ms, attempted.verdict.delivered
        except asyncio.CancelledError:
            self._unmade.append(claim)
            raise
        except PostponedError as error:  # nobody's fault but ours
            self._postpone(claim, error)
        except Exception:  # our own fault: the lease lapses, no attempt is spent
            log.exception("delivery.failed", delivery_id=str(claim.delivery_id))
        finally:
            self._bytes -= size
            now = time.monotonic()
            self._lanes.finished(claim.webhook_id, took_ms=took_ms, delivered=delivered, now=now)
            if self._lanes.due:
                self.wake.set()

    def _postpone(self, claim: Claim, error: PostponedError) -> None:
        """
        Give the attempt back unspent, and let its lane rest.

        Only that one: another lane may not need what has failed, a name server or a certain key.
        """
        self._metrics.pipeline.postponed.inc()
        log.warning(
            "delivery.postponed",
            delivery_id=str(claim.delivery_id),
            webhook_id=str(claim.webhook_id),
            reason=str(error),
        )
        self._unmade.append(claim)
        self._lanes.rest(claim.webhook_id, until=time.monotonic() + error.rest_seconds)

    async def _give_back(self) -> None:
        if not self._unmade:
            return
        unmade, self._unmade = self._unmade, []
        try:
            async with (
                asyncio.timeout(GIVE_BACK_SECONDS),
                self._database.transaction() as db,
            ):
                await claims.release(db, unmade)
        except UNAVAILABLE:
            log.warning("worker.leases_left", count=len(unmade))  # they lapse by themselves
