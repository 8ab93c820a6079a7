"""
A time budget for CPU work in each iteration of the event loop.

Opening a connection takes a millisecond, and so does reading a response that never ends, or one in
small TLS records. When hundreds of receivers cause such work at once, most of it waits for later
iterations, so that everything else gets its turn in between. An event needs several iterations, so
the pieces are short. The rule: owners have the budget in turn, so that no tenant's work delays
another's by more than a piece of each. Tenants may be hundreds, each with a new endpoint: so what
is for unproven endpoints has a line of its own, and every other turn.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Hashable

from daemon.core.scheduling.round_robin import RoundRobin

SECONDS_PER_ITERATION = 0.0025  # of the thread's CPU time: a busy machine makes no work longer


class LoopBudget:
    """Runs work for at most `seconds` (of `clock`) in one iteration of the loop."""

    def __init__(
        self,
        *,
        seconds: float = SECONDS_PER_ITERATION,
        clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._clock = clock
        self._spent = 0.0
        self._waiting: RoundRobin[Callable[[], None]] = RoundRobin()
        self._for_unproven: RoundRobin[Callable[[], None]] = RoundRobin()
        self._lines = deque((self._waiting, self._for_unproven))
        self._next: asyncio.Handle | None = None

    def of(self, owner: Hashable) -> "OwnBudget":
        """The part of an owner."""
        return OwnBudget(self, owner)

    def has_room(self) -> bool:
        """Whether work may run now: none waits, and the budget is not spent."""
        return not any(self._lines) and self._spent < self._seconds

    def is_waiting(self, owner: Hashable) -> bool:
        """Whether work of this owner waits, other than for unproven endpoints."""
        return self._waiting.count(owner) > 0

    def run(self, work: Callable[[], None]) -> None:
        """Run the work now, and count its time."""
        began = self._clock()
        try:
            work()
        finally:
            self.spend(self._clock() - began)

    def run_later(
        self, owner: Hashable, work: Callable[[], None], *, unproven: bool = False
    ) -> None:
        """Run the work in a later iteration, after all of its owner's that waits already."""
        (self._for_unproven if unproven else self._waiting).add(owner, work)
        self._schedule_iteration()

    def continue_later(self, owner: Hashable, work: Callable[[], None]) -> None:
        """Run the rest of work in a later iteration, before all of its owner's that waits."""
        self._waiting.add_first(owner, work)
        self._schedule_iteration()

    def spend(self, seconds: float) -> None:
        """Count time of this iteration."""
        self._schedule_iteration()
        self._spent += seconds

    def _schedule_iteration(self) -> None:
        if self._next is None:
            self._next = self._loop.call_soon(self._begin_iteration)

    def _begin_iteration(self) -> None:
        self._next, self._spent = None, 0.0
        while self._spent < self._seconds and (work := self._take()) is not None:
            self.run(work)

    def _take(self) -> Callable[[], None] | None:
        self._lines.rotate()
        for line in self._lines:
            if (first := line.take()) is not None:
                return first[1]
        return None


class OwnBudget:
    """The part of one owner in the budget of all."""

    __slots__ = ("_all", "_owner")

    def __init__(self, budget: LoopBudget, owner: Hashable) -> None:
        self._all = budget
        self._owner = owner

    def try_run(self, work: Callable[[], None]) -> bool:
        """Run the work now and return True; False if other work waits or the budget is spent."""
        if not self._all.has_room():
            return False
        self._all.run(work)
        return True

    async def turn(self, seconds: float, *, unproven: bool = False) -> None:
        """
        Wait, as work does, until the caller may do something that takes about so long.

        `unproven`: it is for an endpoint that has not shown that it is quick.
        """
        if self._all.has_room():
            self._all.spend(seconds)
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def grant() -> None:
            if not turn.done():
                self._all.spend(seconds)
                turn.set_result(None)

        self._all.run_later(self._owner, grant, unproven=unproven)
        await turn

    def run_later(self, work: Callable[[], None]) -> None:
        """Run the work in a later iteration, after all of this owner's that waits already."""
        self._all.run_later(self._owner, work)

    def continue_later(self, work: Callable[[], None]) -> None:
        """Run the rest of work in a later iteration, before all of this owner's that waits."""
        self._all.continue_later(self._owner, work)

    def run_after_waiting(self, work: Callable[[], None]) -> None:
        """Run small work now, or right after all of this owner's that waits already."""
        if self._all.is_waiting(self._owner):
            self.run_later(work)
        else:
            work()
