"""Long work on the event loop gives way to everything else once it has used its time slice."""

import asyncio
import time
from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")

SLICE_SECONDS = 0.01


class TimeSlice:
    """
    Counts from its creation, and again from each time that it gave way.

    `patient` work, which only its own tenant waits for, has short slices, and rests for as
    long after each, or `rests` times as long: it takes at most half of the loop's time, or less.
    """

    def __init__(self, *, patient: bool = False, rests: float = 1.0) -> None:
        self._seconds = SLICE_SECONDS / 4 if patient else SLICE_SECONDS
        self._rests = rests if patient else 0.0
        self._began = time.monotonic()

    async def yield_if_used(self) -> None:
        """Let the event loop run everything else, if the slice is used up."""
        if time.monotonic() - self._began >= self._seconds:
            await self.rest_after(self._seconds)

    async def rest_after(self, seconds: float) -> None:
        """Rest, if the work is patient, after something else took so long, such as a statement."""
        await asyncio.sleep(self._rests * seconds)
        self._began = time.monotonic()

    async def run(self, steps: Generator[None, None, T]) -> T:
        """Run a generator to its end, giving way between its steps; return what it returns."""
        while True:
            try:
                next(steps)
            except StopIteration as ended:
                result: T = ended.value
                return result
            await self.yield_if_used()
