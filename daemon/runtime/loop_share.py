"""
A share of the event loop's time for work that the rest of the loop must not wait for.

Each step of such work begins in turn by owner, once the steps before it are paid for by as much
time for everything else: however much of it runs at once, it takes half of the loop's time, or
another share.
"""

import asyncio
import time
from collections.abc import Callable, Hashable

from daemon.core.scheduling.round_robin import RoundRobin

SHARE = 0.5
# What steps may take before others have to wait; a long slice of patient work.
AT_ONCE_SECONDS = 0.0025
# A machine that stood still for longer than this is not the work's fault.
MOST_OWED_SECONDS = 0.1


class LoopShare:
    """Lets the steps of all its work begin; `clock` returns seconds."""

    def __init__(
        self, share: float = SHARE, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._share = share
        self._clock = clock
        self._balance = AT_ONCE_SECONDS
        self._balance_at = clock()
        self._waiting: RoundRobin[asyncio.Future[None]] = RoundRobin()
        self._next: asyncio.Handle | None = None

    def turn(self, owner: Hashable) -> asyncio.Future[None] | None:
        """What a step of this owner has to wait for before it begins; None if it may at once."""
        if not self._waiting and self._wait() <= 0:
            return None
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(owner, turn)
        if self._next is None:
            self._begin_next()
        return turn

    def spend(self, seconds: float) -> None:
        """Note how long a step took."""
        self._earn()
        self._balance = max(self._balance - seconds, -MOST_OWED_SECONDS)

    def _begin_next(self) -> None:
        self._next = None
        loop = asyncio.get_running_loop()
        if self._waiting and (wait := self._wait()) > 0:
            self._next = loop.call_later(wait, self._begin_next)
        elif (first := self._waiting.take()) is not None:
            _, turn = first
            if not turn.done():
                turn.set_result(None)
            # Behind the step that begins now, which is then counted.
            self._next = loop.call_soon(self._begin_next)

    def _wait(self) -> float:
        """The seconds until the steps so far are paid for."""
        self._earn()
        return max(0.0, -self._balance / self._share)

    def _earn(self) -> None:
        now = self._clock()
        earned = (now - self._balance_at) * self._share
        self._balance = min(self._balance + earned, AT_ONCE_SECONDS)
        self._balance_at = now
