"""
Connections to PostgreSQL: a pool whose queries end in bounded time.

Exceptions of asyncpg and of the network leave the block of a connection translated by
`store.errors`: a server that is stopped, restarting or unreachable as `DatabaseUnavailableError`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Hashable, Mapping
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from datetime import timedelta
from math import inf

import asyncpg

from daemon.core.errors import ConfigError, DatabaseUnavailableError, ReadOnlyDatabaseError
from daemon.core.model.pool_usage import PoolUsage
from daemon.runtime.turns import Turns
from daemon.store import named_locks, type_lookup
from daemon.store.daemon_lock import DaemonLock
from daemon.store.errors import COMMAND_ERRORS, UNAVAILABLE, cannot_open, connecting, translated
from daemon.store.lock_waits import LockWaits
from daemon.store.notification_channel import Handler
from daemon.store.pg_notifications import Notifications
from daemon.store.pooled_session import (
    OPTIONS,
    PooledConnection,
    PooledForRequests,
    prepare_pooled,
)
from daemon.store.pooler import pooler_mistake
from daemon.store.session import (
    CONNECT_SECONDS,
    LOCK_TIMEOUT,
    QUERY_SECONDS,
    Connection,
    keep_plans,
    limit_lock_waits,
    prepare,
)
from daemon.store.tls_parameters import connect_parameters
from daemon.store.without_session import NoDaemonLock, NoNotifications
from daemon.store.writable import answers_read_only

# One message, one round trip.
DURABLE = "; SET LOCAL synchronous_commit = on"
FOR_ALL = f"; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"

# Whom a connection of one for requests is lent to; None is work of the daemon itself.
CONNECTION_OWNER: ContextVar[Hashable | None] = ContextVar("CONNECTION_OWNER", default=None)
# A session keeps the default_transaction_read_only with which it began, and the host that it is of.
READ_ONLY = (asyncpg.ReadOnlySQLTransactionError, ReadOnlyDatabaseError)
RENEWAL_SECONDS = 2.0  # between two renewals of all sessions, while the database is read-only


class Database:
    """
    A pool of connections; `connection`, `transaction` and `locked` lend one for a block.

    A statement outside a transaction commits by itself, and is not durable. One `for_requests`
    lends a few connections to each caller, and no statement waits for a lock longer than a moment:
    DatabaseBusyError. A `pooled` one needs no session of PostgreSQL: those that it would keep are
    at `direct_url`, or it does without.
    """

    def __init__(
        self,
        url: str,
        *,
        size: int,
        for_requests: bool = False,
        pooled: bool = False,
        direct_url: str | None = None,
    ) -> None:
        self._url = url
        self._pooled = pooled
        self._direct_url = direct_url
        self._session_url = direct_url if pooled else url
        self._size = size
        self._turns = Turns(size) if for_requests else None
        self._pool: asyncpg.Pool | None = None
        self._renewed_at = -inf
        self._lock_waits = LockWaits(self.connection)

    def usage(self) -> PoolUsage:
        """How many connections are open and idle, and how many there may be."""
        pool = self._pool
        if pool is None:
            return PoolUsage(0, 0, self._size)
        return PoolUsage(pool.get_size(), pool.get_idle_size(), self._size)

    async def open(self) -> None:
        """Connect once, to report errors at the start. Raises DatabaseUnavailableError."""
        try:
            pool = await asyncpg.create_pool(
                **connect_parameters(self._url)._asdict(),
                min_size=0,  # the pool restores a minimum in the background, and logs tracebacks
                max_size=self._size,
                timeout=CONNECT_SECONDS,
                command_timeout=QUERY_SECONDS,
                max_inactive_connection_lifetime=300,
                # Any: by default, what is longer than 15 KiB is planned for each call.
                max_cacheable_statement_size=0,
                reset=_keep_settings,
                server_settings={"application_name": "webhookd"},
                **self._session_options(),
            )
            await pool.fetchval("SELECT 1")
        except (*COMMAND_ERRORS, ValueError) as error:
            raise cannot_open(error) from error
        self._pool = pool

    def _session_options(self) -> dict[str, object]:
        for_requests = self._turns is not None
        if not self._pooled:
            init = _prepare_for_requests if for_requests else _prepare_for_deliveries
            return {"init": init, "connection_class": type_lookup.Connection}
        connection_class = PooledForRequests if for_requests else PooledConnection
        return {"init": prepare_pooled, "connection_class": connection_class, **OPTIONS}

    async def require_sessions(self) -> None:
        """Raise ConfigError where a pooler lends sessions by transaction, and is not expected."""
        mistake = await pooler_mistake(self._url, pooled=self._pooled, direct_url=self._direct_url)
        if mistake is not None:
            raise ConfigError([mistake])

    async def answers_read_only(self) -> bool:
        """After a failed connection: whether a host answers, but none that accepts writes."""
        return await answers_read_only(self._url)

    async def close(self, *, within: timedelta) -> None:
        """Close the connections; terminate those that do not close `within` this time."""
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
        Lend a connection outside any transaction; wait up to `within` seconds for a free one.

        Raises DatabaseUnavailableError, or the translated error of a query in the block:
        StatementError, DatabaseBusyError, ConstraintViolationError or StatementTimeoutError.
        """
        pool = self._pool
        if pool is None:
            raise DatabaseUnavailableError("the database is not open")
        async with self._turn(within):
            with connecting():
                connection = await pool.acquire(timeout=within)
            with translated():
                try:
                    yield connection
                except (TimeoutError, asyncio.CancelledError):
                    # Its query may still run, and the pool would wait until it ends.
                    with suppress(asyncpg.InterfaceError):  # asyncpg may have ended it already
                        connection.terminate()
                    raise
                except READ_ONLY:
                    await self.renew_sessions()
                    raise
                finally:
                    await pool.release(connection)

    async def renew_sessions(self) -> None:
        """Let others replace the present sessions, which keep settings, each when it is free."""
        if self._pool is not None and time.monotonic() - self._renewed_at >= RENEWAL_SECONDS:
            self._renewed_at = time.monotonic()
            await self._pool.expire_connections()

    @asynccontextmanager
    async def _turn(self, within: float) -> AsyncIterator[None]:
        """Wait until the caller of the request may have a connection."""
        if self._turns is None:
            yield
            return
        owner = CONNECTION_OWNER.get()
        with connecting():
            async with asyncio.timeout(within):
                await self._turns.begin(owner)
        try:
            yield
        finally:
            self._turns.end(owner)

    @asynccontextmanager
    async def transaction(
        self, *, durable: bool = True, for_all: bool = False
    ) -> AsyncIterator[Connection]:
        """
        Lend a connection in a transaction that commits at the end of the block.

        Without `durable`, the commit does not wait for the disk: a crash of the server may undo the
        whole transaction. One that works `for_all` tenants waits for no lock longer than a moment,
        and raises DatabaseBusyError then. Raises as `connection` does.
        """
        async with self.connection() as connection:
            await connection.execute(
                "BEGIN" + (DURABLE if durable else "") + (FOR_ALL if for_all else "")
            )
            try:
                yield connection
            except (TimeoutError, asyncio.CancelledError):
                raise  # `connection` terminates it, and so the transaction ends
            except BaseException:
                await _roll_back(connection)
                raise
            await connection.execute("COMMIT")

    @asynccontextmanager
    async def locked(self, *names: str) -> AsyncIterator[Connection]:
        """
        Lend a connection in a durable transaction that holds these named locks.

        Waiting for them keeps no connection. Raises as `connection` does; LockHeldError when one is
        not to be had in time.
        """
        async with self._lock_waits.turn(names) as give_up_at:
            while True:
                async with self.transaction() as connection:
                    held = await named_locks.try_take_all(connection, names)
                    if held is None:
                        yield connection
                        return
                await self._lock_waits.until_free(held, give_up_at=give_up_at)

    @property
    def can_listen(self) -> bool:
        """Whether there can be a session for notifications."""
        return self._session_url is not None

    def listening(self, handlers: Mapping[str, Handler]) -> Notifications | NoNotifications:
        """Return a connection outside the pool for notifications, not yet open."""
        url = self._session_url
        return NoNotifications() if url is None else Notifications(url, handlers)

    def daemon_lock(self, key: int) -> DaemonLock | NoDaemonLock:
        """Return the lock by which a daemon is known to live, not yet held."""
        url = self._session_url
        return NoDaemonLock() if url is None else DaemonLock(url, key)


async def _prepare_for_deliveries(connection: Connection) -> None:
    await prepare(connection)
    await keep_plans(connection)


async def _prepare_for_requests(connection: Connection) -> None:
    await prepare(connection)
    await limit_lock_waits(connection)


async def _keep_settings(connection: Connection) -> None:
    """Reset nothing: the usual reset takes a round trip, and would undo the settings."""


async def _roll_back(connection: Connection) -> None:
    """End a transaction; a connection that is being lost is ended, and hides no error."""
    if connection.is_closed():
        return
    try:
        await connection.execute("ROLLBACK")
    except (asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()
