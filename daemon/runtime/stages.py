"""
Places for work of unknown length, so that short work never waits for long work.

The rule: in each stage, work may take so much of the event loop's time. What takes longer goes on
in the next stage if that has a place at once; otherwise it is ended, keeps nothing in memory, and
begins again when there is one.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from daemon.runtime.loop_share import LoopShare
from daemon.runtime.shared_slice import SharedSlice
from daemon.runtime.time_slice import TimeSlice
from daemon.runtime.turns import Turns

T = TypeVar("T")

MOST_OWNERS = 1000  # of long work that are remembered


@dataclass(frozen=True, slots=True)
class Stage:
    """Its places, and the seconds of the loop's time that work may take up to its end."""

    places: int
    seconds: float


class Stages:
    """An owner's work begins in the stage that its previous work ended in."""

    def __init__(self, stages: Sequence[Stage], share: LoopShare) -> None:
        self._limits = [each.seconds for each in stages]
        self._turns = [Turns(each.places) for each in stages]
        self._share = share
        self._reached: OrderedDict[Hashable, int] = OrderedDict()

    async def run(self, owner: Hashable, work: Callable[[TimeSlice], Awaitable[T]]) -> T:
        """Return what `work` returns, which may be begun several times with a new time slice."""
        place = _Place(self._turns, self._limits, owner, at=self._reached.get(owner, 0))
        while True:
            async with place:
                try:
                    async with asyncio.timeout(None) as place.timeout:
                        result = await work(
                            SharedSlice(self._share, owner, on_used=place.note_used)
                        )
                except TimeoutError:
                    if not place.timeout.expired():
                        raise
                else:
                    self._remember(owner, place.used)
                    return result
            place.at += 1

    def _remember(self, owner: Hashable, used: float) -> None:
        self._reached.pop(owner, None)
        if needed := sum(used >= limit for limit in self._limits):
            self._reached[owner] = needed
            if len(self._reached) > MOST_OWNERS:
                self._reached.popitem(last=False)


class _Place:
    """An owner's place in one stage after another."""

    timeout: asyncio.Timeout

    def __init__(
        self, turns: Sequence[Turns], limits: Sequence[float], owner: Hashable, *, at: int
    ) -> None:
        self._turns = turns
        self._limits = limits
        self._owner = owner
        self.at = at
        self.used = 0.0

    async def __aenter__(self) -> None:
        self.used = 0.0
        await self._turns[self.at].begin(self._owner)

    async def __aexit__(self, *_error: object) -> None:
        self._turns[self.at].end(self._owner)

    def note_used(self, seconds: float) -> None:
        """Count a slice; go on in a later stage, or end the work, after the last one here."""
        self.used += seconds
        if self.used < self._limits[self.at] or self.timeout.expired():
            return
        if self._turns[self.at + 1].begin_at_once(self._owner):
            self._turns[self.at].end(self._owner)
            self.at += 1
        else:
            self.timeout.reschedule(asyncio.get_running_loop().time())
