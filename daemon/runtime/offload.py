"""Two threads for work that would hold up the event loop: one for short, one for long work."""

import asyncio
import sys
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from daemon.runtime.turns import Turns

T = TypeVar("T")

# Characters of JSON; less takes at worst some milliseconds.
LARGE = 8 * 1024
# Up to so many take some hundredths of a second at worst; four megabytes, over a second.
SHORT = 64 * 1024

# A thread at work gives way to the loop after as long. The loop waits for that at each system call
# and each socket that is ready: with Python's 5 ms, tens of milliseconds in an iteration.
SWITCH_SECONDS = 0.0005


class Offload:
    """
    The process's only threads for large work, whose owners have turns at each of them.

    Short work does not wait for long work. A thread shares the interpreter with the event loop,
    which would have to wait for each of several such threads: so there is but one for long work.
    """

    def __init__(self) -> None:
        sys.setswitchinterval(SWITCH_SECONDS)
        self._short, self._long = _Thread("offload-short"), _Thread("offload")

    async def run(self, work: Callable[[], T], *, size: int, owner: Hashable) -> T:
        """Return what `work` on `size` characters returns; small work is done at once."""
        if size <= LARGE:
            return work()
        return await self.run_in_thread(work, size=size, owner=owner)

    async def run_in_thread(
        self, work: Callable[[], T], *, size: int = SHORT, owner: Hashable
    ) -> T:
        """Return what `work` returns; the owner that recently used the thread least comes first."""
        return await (self._short if size <= SHORT else self._long).run(work, owner)

    def close(self) -> None:
        """End the threads once their present work is done; work that has not begun is dropped."""
        self._short.close()
        self._long.close()


class _Thread:
    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._turns = Turns()

    async def run(self, work: Callable[[], T], owner: Hashable) -> T:
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
        self._executor.shutdown(wait=False, cancel_futures=True)
