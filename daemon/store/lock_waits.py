"""
Waits for named locks that hold no connection.

A daemon that hangs keeps its locks, and each request that waited for one within its transaction
would keep a connection from all other requests. Here they wait in memory: those for one lock in the
order in which they came, and one statement looks for all of them whether theirs are free.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from contextvars import Context
from typing import NoReturn

from daemon.core.errors import DatabaseUnavailableError, LockHeldError
from daemon.store import named_locks
from daemon.store.session import Connection

POLL_SECONDS = 0.05
MOST_WAITING = 64  # for one lock

Lend = Callable[[], AbstractAsyncContextManager[Connection]]


class LockWaits:
    """Sessions that wait for locks; `connection` lends a connection outside a transaction."""

    def __init__(self, connection: Lend) -> None:
        self._connection = connection
        self._turns: dict[str, asyncio.Lock] = {}
        self._users: Counter[str] = Counter()
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._polling: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def turn(self, names: Sequence[str]) -> AsyncIterator[float]:
        """
        Wait until no other task of this process uses the locks; yields when to give up waiting.

        Raises LockHeldError after WAIT_SECONDS, or when too many wait for one already.
        """
        give_up_at = asyncio.get_running_loop().time() + named_locks.WAIT_SECONDS
        async with AsyncExitStack() as turns:
            for name in sorted(set(names)):  # sorted: two never wait for each other
                await turns.enter_async_context(self._turn(name, give_up_at))
            yield give_up_at

    async def until_free(self, name: str, *, give_up_at: float) -> None:
        """
        Wait until the lock was free a moment ago; call within the `turn` of it.

        Raises LockHeldError at `give_up_at`, a time of the event loop.
        """
        free = self._waiting[name] = asyncio.get_running_loop().create_future()
        if self._polling is None:
            # It is for all who wait, so that its connection is lent to none of them.
            self._polling = asyncio.create_task(self._poll(), context=Context())
        try:
            async with asyncio.timeout_at(give_up_at):
                await free
        except TimeoutError:
            await self._give_up(name)
        finally:
            del self._waiting[name]

    @asynccontextmanager
    async def _turn(self, name: str, give_up_at: float) -> AsyncIterator[None]:
        if self._users[name] >= MOST_WAITING:
            raise LockHeldError(f"too many requests wait for the lock '{name}'")
        lock = self._turns.setdefault(name, asyncio.Lock())
        self._users[name] += 1
        try:
            try:
                async with asyncio.timeout_at(give_up_at):
                    await lock.acquire()
            except TimeoutError:
                await self._give_up(name)
            try:
                yield
            finally:
                lock.release()
        finally:
            self._users[name] -= 1
            if not self._users[name]:
                del self._users[name], self._turns[name]

    async def _give_up(self, name: str) -> NoReturn:
        async with self._connection() as db:
            raise await named_locks.held_error(db, name) from None

    async def _poll(self) -> None:
        """Look at all locks that are waited for, as long as there are any."""
        try:
            while self._waiting:
                await asyncio.sleep(POLL_SECONDS)
                for name in await self._find_free(list(self._waiting)):
                    if (free := self._waiting.get(name)) is not None and not free.done():
                        free.set_result(None)
        finally:
            self._polling = None

    async def _find_free(self, names: list[str]) -> list[str]:
        with suppress(DatabaseUnavailableError):  # those who wait find out by themselves
            async with self._connection() as db:
                return await named_locks.find_free(db, names)
        return []
