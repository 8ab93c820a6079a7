"""
Time slices of patient work that shares the event loop's time with all other such work.

The rule: all of it together takes half of the loop's time, and the owner that recently took least
has the next slice, however many others work and however long their work is.
"""

import asyncio
import time
from collections.abc import Callable, Hashable

from daemon.runtime.loop_share import LoopShare
from daemon.runtime.time_slice import SLICE_SECONDS, TimeSlice


class SharedSlice(TimeSlice):
    """Patient slices of one owner's work; `on_used` is called with the seconds of each."""

    def __init__(
        self,
        share: LoopShare,
        owner: Hashable,
        *,
        rests: float = 1.0,
        on_used: Callable[[float], None] | None = None,
    ) -> None:
        super().__init__(patient=True, rests=rests)
        self._share = share
        self._owner = owner
        self._on_used = on_used

    async def rest_after(self, seconds: float) -> None:
        """Rest after a slice, or something else that took so long; then wait for the next slice."""
        used = min(seconds, SLICE_SECONDS)  # a statement takes more, but nothing of the loop
        self._share.spend(self._owner, used)
        if self._on_used is not None:
            self._on_used(used)
        await asyncio.sleep(self._rests * seconds)
        if (turn := self._share.turn(self._owner)) is not None:
            await turn
        self._began = time.monotonic()
