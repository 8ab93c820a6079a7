"""
A time budget for CPU work in each iteration of the event loop.

A TLS handshake takes a millisecond, and so does opening a connection, or reading a response that
never ends. When hundreds of receivers cause such work at once, most of it waits for later
iterations, so that everything else gets its turn in between.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

SECONDS_PER_ITERATION = 0.01


class LoopBudget:
    """Runs work in order, for at most `seconds` (of `clock`) in one iteration of the loop."""

    def __init__(
        self,
        *,
        seconds: float = SECONDS_PER_ITERATION,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._clock = clock
        self._spent = 0.0
        self._waiting: deque[Callable[[], None]] = deque()
        self._next: asyncio.Handle | None = None

    def try_run(self, work: Callable[[], None]) -> bool:
        """Run the work now and return True; False if other work waits or the budget is spent."""
        if self._waiting or self._spent >= self._seconds:
            return False
        self._run(work)
        return True

    async def turn(self, seconds: float) -> None:
        """Wait, as work does, until the caller may do something that takes about so long."""
        if not self._waiting and self._spent < self._seconds:
            self._spend(seconds)
            return
        turn: asyncio.Future[None] = self._loop.create_future()

        def grant() -> None:
            if not turn.done():
                self._spend(seconds)
                turn.set_result(None)

        self.run_later(grant)
        await turn

    def run_later(self, work: Callable[[], None]) -> None:
        """Run the work in a later iteration, after all that waits already."""
        self._waiting.append(work)
        self._schedule_iteration()

    def run_after_waiting(self, work: Callable[[], None]) -> None:
        """Run small work now, or right after all that waits already."""
        if self._waiting:
            self._waiting.append(work)
        else:
            work()

    def _run(self, work: Callable[[], None]) -> None:
        began = self._clock()
        try:
            work()
        finally:
            self._spend(self._clock() - began)

    def _spend(self, seconds: float) -> None:
        self._schedule_iteration()
        self._spent += seconds

    def _schedule_iteration(self) -> None:
        if self._next is None:
            self._next = self._loop.call_soon(self._begin_iteration)

    def _begin_iteration(self) -> None:
        self._next, self._spent = None, 0.0
        while self._waiting and self._spent < self._seconds:
            self._run(self._waiting.popleft())
