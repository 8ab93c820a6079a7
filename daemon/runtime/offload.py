"""What would hold the loop for long is done beside it, one at a time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

LARGE = 256 * 1024  # of what is printed in some milliseconds at the very worst


class Offload:
    """
    A thread for what is large. It shares the interpreter with the loop, and gives way to it every
    few milliseconds; of many such threads the loop would have to wait for each.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="apart")

    async def run(self, work: Callable[[], T], *, size: int) -> T:
        """What comes of work on so many characters; what is not large is done at once."""
        if size <= LARGE:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
