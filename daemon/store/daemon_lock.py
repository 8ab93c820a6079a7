"""
The advisory lock by which other daemons know that this one is alive, on a connection of its own.

Nothing that others send may end this session: they would free the leases of this daemon.
"""

import asyncio
import socket
from collections.abc import Callable

import asyncpg

from daemon.store.errors import connecting, translated
from daemon.store.session import CONNECT_SECONDS
from daemon.store.tls_parameters import connect_parameters

CHECK_SECONDS = 3.0
TRY_LOCK = "SELECT pg_catalog.pg_try_advisory_lock($1)"
FIND_HOLDER = """
    -- Of other roles' sessions only pg_read_all_stats sees more than the pid and the role.
    SELECT held.pid, a.usename::text AS role, NULLIF(a.application_name, ''::text) AS application
      FROM pg_catalog.pg_locks AS held
      JOIN pg_catalog.pg_database AS d ON d.oid = held.database
      LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = held.pid
     WHERE d.datname = pg_catalog.current_database()
       AND held.locktype = 'advisory'::text AND held.objsubid = 1::smallint AND held.granted
       AND held.classid = ($1::bigint >> 32)::oid AND held.objid = ($1::bigint & 4294967295)::oid
"""
# Of the connection, in seconds: other daemons would soon free the leases of one whose server is
# another one by now.
KEEP_ALIVE = {socket.TCP_KEEPIDLE: 1, socket.TCP_KEEPINTVL: 1, socket.TCP_KEEPCNT: 2}


class _KeptAlive(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """A connection that ends some seconds after its peer is gone, without any statement."""

    def __init__(self, protocol: object, transport: asyncio.Transport, *more: object) -> None:
        super().__init__(protocol, transport, *more)
        own = transport.get_extra_info("socket")
        if own.family != socket.AF_UNIX:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for option, value in KEEP_ALIVE.items():
                own.setsockopt(socket.IPPROTO_TCP, option, value)


class DaemonLock:
    """Holds the lock of a key, from the first `hold` until `close`."""

    def __init__(self, url: str, key: int) -> None:
        self._url = url
        self._key = key
        self._is_held = False
        self._connection: asyncpg.Connection | None = None
        self._own_pids: set[int] = set()  # of former sessions, which PostgreSQL may not have ended
        self.holder: str | None = None  # the session of another, if one has the lock

    async def hold(self, *, on_lost: Callable[[], None]) -> bool:
        """
        Take the lock, or find out whether it is still held; to be repeated, soon if it is not.

        `on_lost` is called when the connection ends. Where another session has it, `holder` says
        which: any role may take a lock whose key it has seen. Raises DatabaseUnavailableError.
        """
        if self._connection is None or self._connection.is_closed():
            await self._open(on_lost)
        assert self._connection is not None
        with translated():
            if self._is_held:
                await self._connection.execute("SELECT 1")
            else:  # a former session of this daemon may hold it, until PostgreSQL has ended that
                self._is_held = await self._connection.fetchval(TRY_LOCK, self._key)
                self.holder = None if self._is_held else await self._find_holder(self._connection)
        if self._is_held:
            self._own_pids = {self._connection.get_server_pid()}
        return self._is_held

    async def close(self) -> None:
        """Terminate the connection at once."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _find_holder(self, connection: asyncpg.Connection) -> str | None:
        row = await connection.fetchrow(FIND_HOLDER, self._key)
        if row is None or row["pid"] in self._own_pids:
            return None
        if row["pid"] is None:
            return "a prepared transaction (pg_prepared_xacts)"
        role, application = row["role"] or "unknown", row["application"] or "unnamed"
        return f"pid {row['pid']} (role {role}, application {application})"

    async def _open(self, on_lost: Callable[[], None]) -> None:
        with connecting():
            async with asyncio.timeout(CONNECT_SECONDS):
                self._is_held = False
                self._connection = await asyncpg.connect(
                    **connect_parameters(self._url)._asdict(),
                    connection_class=_KeptAlive,
                    timeout=CONNECT_SECONDS,
                    command_timeout=CHECK_SECONDS,
                    server_settings={"application_name": "webhookd lock"},
                )
        self._own_pids.add(self._connection.get_server_pid())
        self._connection.add_termination_listener(lambda _: on_lost())
