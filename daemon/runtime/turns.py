"""
Turns at something that one at a time may have: owners in turn, each with its requests in order.

The rule: an owner with many requests delays another owner's by one at most.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from daemon.core.scheduling.round_robin import RoundRobin


class Turns:
    """Lends one turn at a time."""

    def __init__(self) -> None:
        self._waiting: RoundRobin[asyncio.Future[None]] = RoundRobin()
        self._busy = False

    @asynccontextmanager
    async def of(self, owner: Hashable) -> AsyncIterator[None]:
        """Have a turn."""
        await self.begin(owner)
        try:
            yield
        finally:
            self.end()

    async def begin(self, owner: Hashable) -> None:
        """Wait for a turn; call `end` after it."""
        if not self._busy:
            self._busy = True
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(owner, turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.end()  # it had just begun
            raise

    def end(self) -> None:
        """End the present turn, and begin the next owner's."""
        while (first := self._waiting.take()) is not None:
            _, turn = first
            if not turn.done():
                turn.set_result(None)
                return
        self._busy = False
