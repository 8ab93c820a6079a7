"""
The deadline of one request, judged only after everything that came in time has been read.

When the loop is late, timers and sockets are ready in the same turn, and timers may come first. So
a deadline that has passed waits for one look at all sockets, and for the TLS work that waits
already. Time in which the loop stood still does not count, up to a limit: a request that a stall
interrupted goes on, rather than being sent a second time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from daemon.core.model.ids import TenantId
from daemon.egress.loop_budget import LoopBudget, OwnBudget
from daemon.runtime.stalls import StallWatch

# A loop that stalls all the time must not keep a request open for ever.
MAX_GRACE_SECONDS = 5.0
# Shorter waits come from the rounding of the loop's clock.
CLOCK_SECONDS = 0.001


class Deadline:
    """
    A deadline for the stages of a request, one after another, `seconds` from its beginning.

    The request began at `began_at`, a running time of `stalls`; now, by default. `budget` is that
    of its tenant's work.
    """

    __slots__ = (
        "_at",
        "_at_running_time",
        "_budget",
        "_expire",
        "_latest",
        "_loop",
        "_stalls",
        "_timer",
    )

    def __init__(
        self,
        seconds: float,
        *,
        stalls: StallWatch,
        budget: OwnBudget,
        began_at: float | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        now = stalls.running_time()
        self._at_running_time = (now if began_at is None else began_at) + seconds
        self._at = self._loop.time() + self._at_running_time - now
        self._latest: float | None = None
        self._stalls = stalls
        self._budget = budget
        self._timer: asyncio.Handle | None = None
        self._expire: Callable[[], None] | None = None

    def start(self, expire: Callable[[], None]) -> None:
        """Call `expire` when the deadline has passed, unless `stop` comes first."""
        self._expire = expire
        self._timer = self._loop.call_at(self._at, self._passed)

    def stop(self) -> None:
        """End what `start` began."""
        self._expire = None
        if self._timer is not None:
            self._timer.cancel()

    @asynccontextmanager
    async def limit(self) -> AsyncIterator[None]:
        """Cancel the block at the deadline and raise TimeoutError."""
        async with asyncio.timeout(None) as timeout:
            self.start(lambda: timeout.reschedule(0))
            try:
                yield
            finally:
                self.stop()

    def _passed(self) -> None:
        wait = self._wait()
        if wait > CLOCK_SECONDS:
            self._timer = self._loop.call_later(wait, self._passed)
        else:
            self._timer = self._loop.call_soon(self._begin_turn)

    def _wait(self) -> float:
        """Return the seconds that stalls have put the deadline off."""
        grace = self._stalls.grace_left()  # first: this notices a stall that has just ended
        left = self._at_running_time - self._stalls.running_time()
        now = self._loop.time()
        if self._latest is None:
            self._latest = now + MAX_GRACE_SECONDS
        return min(max(left, grace), self._latest - now)

    def _begin_turn(self) -> None:
        """Let a whole turn pass: between this callback and the next, all sockets are read."""
        self._timer = self._loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._budget.run_after_waiting(self._judge)

    def _judge(self) -> None:
        if self._expire is not None:
            self._expire()


class Expiring(Protocol):
    """A request with a deadline."""

    @property
    def tenant_id(self) -> TenantId | None:
        """The tenant whose request it is."""

    def expire(self) -> None:
        """End it, without an answer."""


class Deadlines:
    """
    The deadlines of many requests, most of them `seconds` from its beginning, with one timer for
    these.

    They are judged like a Deadline.
    """

    def __init__(self, seconds: float, *, stalls: StallWatch, budget: LoopBudget) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._stalls = stalls
        self._budget = budget
        self._began_at: dict[Expiring, float] = {}  # in order
        # Those that have passed, and those of other lengths.
        self._single: dict[Expiring, Deadline] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, request: Expiring, began_at: float, seconds: float) -> None:
        """Call `expire` of a request at its deadline; it begins now, by the stalls' clock."""
        if seconds != self._seconds:
            self._begin(request, began_at, seconds)
            return
        self._began_at[request] = began_at
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._judge)

    def remove(self, request: Expiring) -> None:
        """End what `add` began."""
        self._began_at.pop(request, None)
        if self._single and (deadline := self._single.pop(request, None)):
            deadline.stop()

    def close(self) -> None:
        """Stop the timer of all; requests of other lengths have ended."""
        if self._timer is not None:
            self._timer.cancel()

    def _judge(self) -> None:
        """Hand those that have passed over to a Deadline each, and wait for the next one."""
        self._timer = None
        now = self._stalls.running_time()
        while self._began_at:
            request, began_at = next(iter(self._began_at.items()))
            left = began_at + self._seconds - now
            if left > CLOCK_SECONDS:
                self._timer = self._loop.call_later(left, self._judge)
                return
            del self._began_at[request]
            self._begin(request, began_at, self._seconds)

    def _begin(self, request: Expiring, began_at: float, seconds: float) -> None:
        deadline = self._single[request] = Deadline(
            seconds,
            stalls=self._stalls,
            budget=self._budget.of(request.tenant_id),
            began_at=began_at,
        )
        deadline.start(request.expire)
