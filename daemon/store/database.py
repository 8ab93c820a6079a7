"""
The way to PostgreSQL: a pool whose queries end in bounded time, and what counts as its absence.

A server that is stopped, restarting or out of reach is not an error of ours: the loops wait and
try again, and no endpoint is charged for it.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from daemon.core.errors import DatabaseUnavailableError
from daemon.store.timestamps import read_every_time

Connection: TypeAlias = asyncpg.Connection | PoolConnectionProxy

# What says "not now": the connection, the server's state or a rival's lock, never our statement.
UNAVAILABLE = (
    OSError,  # TimeoutError is one
    DatabaseUnavailableError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # how a connection that dies in mid-sentence can show
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
    asyncpg.ObjectInUseError,
    asyncpg.LockNotAvailableError,
)

QUERY_SECONDS = 10.0
CONNECT_SECONDS = 5.0
CHECK_SECONDS = 3.0

# Every query of ours has an index made for it. A planner that has not yet seen the tables grow
# would scan or sort a million rows for a claim of fifty, and keep that plan.
PLANNING = """
    -- What is written outside a durable transaction need not wait for the disk.
    SET synchronous_commit = off;
    SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off;
    SET enable_mergejoin = off; SET jit = off;
    SET timezone = 'UTC'; SET default_transaction_isolation = 'read committed';
    -- A daemon that stands still in the middle of a transaction must not hold its locks for long.
    SET idle_in_transaction_session_timeout = '5s';
    -- Nor one whose query we gave up: the server does not hear of that while it waits for a lock.
    SET statement_timeout = '12s';
"""

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
                init=_prepare,
                reset=_keep,
                server_settings={"application_name": "webhookd"},
            )
            await pool.fetchval("SELECT 1")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
            raise unusable(error) from error
        self._pool = pool

    async def close(self, *, within: timedelta) -> None:
        """Close gently, then by force: a stopped server must not keep us."""
        if self._pool is None:
            return
        pool, self._pool = self._pool, None
        try:
            async with asyncio.timeout(within.total_seconds()):
                await pool.close()
        except (TimeoutError, *UNAVAILABLE):
            pool.terminate()

    @asynccontextmanager
    async def connection(self, *, within: float = QUERY_SECONDS) -> AsyncIterator[Connection]:
        """A connection outside any transaction; raises one of UNAVAILABLE."""
        if self._pool is None:
            raise DatabaseUnavailableError("the database is not open")
        async with self._pool.acquire(timeout=within) as connection:
            try:
                yield connection
            except (TimeoutError, asyncio.CancelledError):
                # Its query may still run, and giving it back would wait for the end of that.
                with suppress(asyncpg.InterfaceError):  # asyncpg may have ended it already
                    connection.terminate()
                raise

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

    def dedicated(self) -> Any:
        """A connection of its own, for LISTEN: awaitable."""
        return asyncpg.connect(
            self._url,
            timeout=CONNECT_SECONDS,
            command_timeout=CHECK_SECONDS,
            server_settings={"application_name": "webhookd listen"},
        )


# All that a command reports as a database that it cannot use, missing privileges included.
TROUBLE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)

CLOSE_SECONDS = 1.0


@asynccontextmanager
async def connected(url: str, *, plain: bool = False) -> AsyncIterator[Connection]:
    """
    A single connection, outside any pool, for the length of the block.

    Its session is planned and bounded as the pool's are, but every commit is durable: a command
    reports what it did. A `plain` session keeps the server's own settings and has no time limit:
    a migration takes as long as the tables are large, and does the same under `psql -f`.

    Raises DatabaseUnavailableError, also in place of a database error in the block.
    """
    with reporting_database_errors():
        try:
            connection = await asyncpg.connect(
                url, timeout=CONNECT_SECONDS, command_timeout=None if plain else QUERY_SECONDS
            )
        except ValueError as error:  # the URL cannot be parsed
            raise unusable(error) from error
        try:
            if not plain:
                await _prepare(connection)
                await connection.execute("RESET synchronous_commit")
            yield connection
            with suppress(*TROUBLE):
                await connection.close(timeout=CLOSE_SECONDS)
        finally:
            connection.terminate()  # a graceful close would wait for a server that hangs


@contextmanager
def reporting_database_errors() -> Iterator[None]:
    """Raise DatabaseUnavailableError, one sentence, in place of a database error in the block."""
    try:
        yield
    except BrokenPipeError:  # from the command's own output
        raise
    except TROUBLE as error:
        raise unusable(error) from error


def unusable(error: BaseException) -> DatabaseUnavailableError:
    """The sentence for a database that we cannot begin with."""
    # Refused, starting up, too many clients: may pass. Wrong password, no such database: will not.
    passing = (OSError, asyncpg.OperatorInterventionError, asyncpg.InsufficientResourcesError)
    return DatabaseUnavailableError(
        f"the database cannot be used: {reason(error)}", may_pass=isinstance(error, passing)
    )


def reason(error: BaseException) -> str:
    """The database's complaint in one line, without the address's password."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()  # asyncio's own text speaks of system calls
    try:
        text = str(error).strip().splitlines()
    except IndexError:  # asyncpg's errors cannot be printed without a message
        text = []
    return text[0] if text else type(error).__name__


async def _keep(connection: Connection) -> None:
    """Give back as it is: the usual reset costs a round trip, and would undo PLANNING."""


async def _prepare(connection: Connection) -> None:
    await connection.execute(PLANNING)
    await read_every_time(connection)
