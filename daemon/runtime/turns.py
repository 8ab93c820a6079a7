"""
Turns at something of which there is one, or a few: the owner that recently used it least is next.

Many owners with long turns must not delay one with short turns by all of theirs: that one waits
for what is in use only. Of several an owner has a few, and the last is for an owner without any.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager

from daemon.core.scheduling.recent_use import RecentUse
from daemon.core.scheduling.round_robin import RoundRobin

MOST_OF_ONE = 2
# Owners whose recent use differs by less than this come in turn.
STEP_SECONDS = 0.02


class Turns:
    """
    Lends `size` of a kind; `clock` returns seconds.

    The owner None is the daemon itself, which may have all.
    """

    def __init__(self, size: int = 1, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._free = size
        self._held: Counter[Hashable] = Counter()
        self._waiting: RoundRobin[asyncio.Future[None]] = RoundRobin()
        self._use = RecentUse(STEP_SECONDS)

    @asynccontextmanager
    async def of(self, owner: Hashable) -> AsyncIterator[None]:
        """Have a turn."""
        await self.begin(owner)
        try:
            yield
        finally:
            self.end(owner)

    async def begin(self, owner: Hashable) -> None:
        """Wait for a turn; call `end` after it."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(owner, turn)
        self._begin_next()
        try:
            await turn
        except BaseException:
            if not turn.cancelled():
                self.end(owner)  # it had just begun
            raise

    def begin_at_once(self, owner: Hashable) -> bool:
        """Begin a turn if no wait is needed; returns whether it has begun, and needs its `end`."""
        if self._waiting or not self._may_begin(owner):
            return False
        self._begin_turn(owner, now=self._clock())
        return True

    def end(self, owner: Hashable) -> None:
        """End a turn of this owner, and begin the next."""
        self._free += 1
        self._use.change(owner, -1, now=self._clock())
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]
        self._begin_next()

    def _begin_next(self) -> None:
        now = self._clock()
        while (
            first := self._waiting.take_least(
                lambda owner: self._use.steps(owner, now=now), self._may_begin
            )
        ) is not None:
            owner, turn = first
            if not turn.done():
                self._begin_turn(owner, now=now)
                turn.set_result(None)

    def _begin_turn(self, owner: Hashable, *, now: float) -> None:
        self._free -= 1
        self._held[owner] += 1
        self._use.change(owner, 1, now=now)

    def _may_begin(self, owner: Hashable) -> bool:
        held = self._held[owner]
        if owner is None or not held:
            return self._free > 0
        return held < MOST_OF_ONE and self._free > 1
