"""
Connections to PostgreSQL: a pool whose queries end in bounded time.

Whatever asyncpg or the network raises inside a connection's block leaves it translated by
`store.errors`: a server that is stopped, restarting or out of reach as `DatabaseUnavailableError`.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import asyncpg

from daemon.core.errors import DatabaseUnavailableError
from daemon.store.errors import UNAVAILABLE, cannot_open, connecting, translated
from daemon.store.listening import Handler, Notifications
from daemon.store.session import CONNECT_SECONDS, QUERY_SECONDS, Connection, prepare

# One message, one round trip.
BEGIN_DURABLE = "BEGIN; SET LOCAL synchronous_commit = on"


class Database:
    """
    A pool of connections; `connection` and `transaction` hand one out for a short while.

    A statement outside a transaction is one of its own, and need not be durable.
    """

    def __init__(self, url: str, *, size: int) -> None:
        self._url = url
        self._size = size
        self._pool: asyncpg.Pool | None = None

    async def open(self) -> None:
        """Connect once, so that what is wrong is told now. Raises DatabaseUnavailableError."""
        try:
            pool = await asyncpg.create_pool(
                self._url,
                min_size=0,  # a floor would be restored behind our back, a traceback each time
                max_size=self._size,
                timeout=CONNECT_SECONDS,
                command_timeout=QUERY_SECONDS,
                max_inactive_connection_lifetime=300,
                init=prepare,
                reset=_keep,
                server_settings={"application_name": "webhookd"},
            )
            await pool.fetchval("SELECT 1")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
            raise cannot_open(error) from error
        self._pool = pool

    async def close(self, *, within: timedelta) -> None:
        """Close gently, then by force: a stopped server must not keep us."""
        if self._pool is None:
            return
        pool, self._pool = self._pool, None
        try:
            async with asyncio.timeout(within.total_seconds()):
                await pool.close()
        except UNAVAILABLE:
            pool.terminate()

    @asynccontextmanager
    async def connection(self, *, within: float = QUERY_SECONDS) -> AsyncIterator[Connection]:
        """
        A connection outside any transaction; waits `within` seconds for a free one.

        Raises DatabaseUnavailableError or StatementError for what the block's queries raise.
        """
        pool = self._pool
        if pool is None:
            raise DatabaseUnavailableError("the database is not open")
        with connecting():
            connection = await pool.acquire(timeout=within)
        with translated():
            try:
                yield connection
            except (TimeoutError, asyncio.CancelledError):
                # Its query may still run, and the pool would wait for the end of it.
                with suppress(asyncpg.InterfaceError):  # asyncpg may have ended it already
                    connection.terminate()
                raise
            finally:
                await pool.release(connection)

    @asynccontextmanager
    async def transaction(self, *, durable: bool = True) -> AsyncIterator[Connection]:
        """
        A transaction that commits at the end of the block.

        Not `durable` spares the wait for the disk: after a crash of the server what it wrote may be
        gone as a whole, as if we had not got to it yet.
        """
        async with self.connection() as connection:
            await connection.execute(BEGIN_DURABLE if durable else "BEGIN")
            try:
                yield connection
            except (TimeoutError, asyncio.CancelledError):
                raise  # and the connection ends, and with it the transaction
            except BaseException:
                if not connection.is_closed():
                    await connection.execute("ROLLBACK")
                raise
            await connection.execute("COMMIT")

    def listening(self, handlers: Mapping[str, Handler]) -> Notifications:
        """A connection outside the pool for notifications, still to be opened."""
        return Notifications(self._url, handlers)


async def _keep(connection: Connection) -> None:
    """Give back as it is: the usual reset costs a round trip, and would undo PLANNING."""
