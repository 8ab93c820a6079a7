"""Long work on the event loop gives way to everything else once it has used its time slice."""

import asyncio
import time

SLICE_SECONDS = 0.01


class TimeSlice:
    """Counts from its creation, and again from each time that it gave way."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    async def yield_if_used(self) -> None:
        """Let the event loop run everything else, if the slice is used up."""
        if time.monotonic() - self._began >= SLICE_SECONDS:
            await asyncio.sleep(0)
            self._began = time.monotonic()
