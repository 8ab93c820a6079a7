"""
The order in which owners get connections: a few to each, and the last to one without any.

A request may wait within its transaction for a row that another session keeps. Its owner's others
then wait for it here, without a connection. Owners that recently used connections little come
first: many owners with expensive requests must not delay one with cheap ones by all of theirs.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Hashable
from contextvars import ContextVar

from daemon.core.scheduling.recent_use import RecentUse
from daemon.core.scheduling.round_robin import RoundRobin

MOST_OF_ONE = 2

# Whom a connection is lent to; None is work of the daemon itself, which has no limit of its own.
OWNER: ContextVar[Hashable | None] = ContextVar("OWNER", default=None)


class ConnectionTurns:
    """Lends `size` connections, of which any may be used; the owner is the context's."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._held: Counter[Hashable] = Counter()
        self._waiting: RoundRobin[asyncio.Future[None]] = RoundRobin()
        self._use = RecentUse()

    async def begin(self, owner: Hashable | None) -> None:
        """Wait until the owner may use a connection; call `end` when it does not any more."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(owner, turn)
        self._begin_next()
        try:
            await turn
        except BaseException:
            if not turn.cancelled():
                self.end(owner)  # it had just begun
            raise

    def end(self, owner: Hashable | None) -> None:
        """Note that a connection is not used any more."""
        self._free += 1
        self._use.change(owner, -1, now=time.monotonic())
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]
        self._begin_next()

    def _begin_next(self) -> None:
        now = time.monotonic()
        while (
            first := self._waiting.take_least(
                lambda owner: self._use.steps(owner, now=now), self._may_begin
            )
        ) is not None:
            owner, turn = first
            if not turn.done():
                self._free -= 1
                self._held[owner] += 1
                self._use.change(owner, 1, now=now)
                turn.set_result(None)

    def _may_begin(self, owner: Hashable | None) -> bool:
        held = self._held[owner]
        if owner is None or not held:
            return self._free > 0
        return held < MOST_OF_ONE and self._free > 1
