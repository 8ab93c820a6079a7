"""
The deadline of one request, judged only after everything that came in time has been read.

When the loop is late, timers and sockets are ready in the same turn, and timers may come first. So
a deadline that has passed waits for one look at all sockets, for the TLS work that waits already,
and after a stall for the moment in which the loop catches up.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from daemon.egress.loop_budget import LoopBudget
from daemon.runtime.stalls import StallWatch

# A loop that stalls all the time must not keep a request open for ever.
MAX_GRACE_SECONDS = 5.0


class Deadline:
    """
    A deadline for the stages of a request, one after another.

    `at` is a time of the loop's clock in seconds; `budget` is the one of the client's TLS work.
    """

    __slots__ = ("_at", "_budget", "_expire", "_loop", "_stalls", "_timer")

    def __init__(self, at: float, *, stalls: StallWatch, budget: LoopBudget) -> None:
        self._at = at
        self._stalls = stalls
        self._budget = budget
        self._loop = asyncio.get_running_loop()
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
        bound = self._at + MAX_GRACE_SECONDS - self._loop.time()
        grace = min(self._stalls.grace_left(), bound)
        if grace > 0:
            self._timer = self._loop.call_later(grace, self._passed)
        else:
            self._timer = self._loop.call_soon(self._begin_turn)

    def _begin_turn(self) -> None:
        """Let a whole turn pass: between this callback and the next, all sockets are read."""
        self._timer = self._loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._budget.run_after_waiting(self._judge)

    def _judge(self) -> None:
        if self._expire is not None:
            self._expire()
