"""One thread for work that would hold the event loop for long, one piece at a time."""

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from daemon.runtime.turns import Turns

T = TypeVar("T")

# Characters of JSON; less takes at worst some milliseconds.
LARGE = 8 * 1024


class Offload:
    """
    The process's only thread for large work, whose owners have turns at it.

    The thread shares the interpreter with the event loop and gives way to it every few
    milliseconds. The loop would have to wait for each of several such threads: with three of them
    its turns come 70 to 195 ms late, with one 15 to 21 ms.
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="offload")
        self._turns = Turns()

    async def run(self, work: Callable[[], T], *, size: int, owner: Hashable) -> T:
        """Return what `work` on `size` characters returns; small work is done at once."""
        return work() if size <= LARGE else await self.run_in_thread(work, owner=owner)

    async def run_in_thread(self, work: Callable[[], T], *, owner: Hashable) -> T:
        """Return what `work` returns; the owner that recently used the thread least comes first."""
        await self._turns.begin(owner)
        loop = asyncio.get_running_loop()
        try:
            running = loop.run_in_executor(self._executor, work)
        except BaseException:
            self._turns.end(owner)
            raise
        # Not when the caller ends, which may be cancelled: when the thread is free.
        running.add_done_callback(lambda _: self._turns.end(owner))
        return await running

    def close(self) -> None:
        """End the thread once its present work is done; work that has not begun is dropped."""
        self._executor.shutdown(wait=False, cancel_futures=True)
