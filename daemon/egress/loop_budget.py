"""
Turns: what receivers make us do, in the order in which it comes, and only so much of it at a time.

A TLS handshake is a millisecond's work. When hundreds of receivers send their part of it at once,
most of that waits for the next turns of the loop, so that everybody else has theirs.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

TURN_SECONDS = 0.01


class LoopBudget:
    """Whoever has something to do tries `now`, and when there is no time left, `later`."""

    def __init__(
        self, *, seconds: float = TURN_SECONDS, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._clock = clock
        self._spent = 0.0
        self._waiting: deque[Callable[[], None]] = deque()
        self._next: asyncio.Handle | None = None

    def now(self, work: Callable[[], None]) -> bool:
        """Do it, and say so; or do not, because others wait or this turn is used up."""
        if self._waiting or self._spent >= self._seconds:
            return False
        self._do(work)
        return True

    def later(self, work: Callable[[], None]) -> None:
        """Do it after all that waits already."""
        self._waiting.append(work)
        self._expect_next()

    def _do(self, work: Callable[[], None]) -> None:
        self._expect_next()
        began = self._clock()
        try:
            work()
        finally:
            self._spent += self._clock() - began

    def _expect_next(self) -> None:
        if self._next is None:
            self._next = self._loop.call_soon(self._begin)

    def _begin(self) -> None:
        """Another turn of the loop."""
        self._next, self._spent = None, 0.0
        while self._waiting and self._spent < self._seconds:
            self._do(self._waiting.popleft())
