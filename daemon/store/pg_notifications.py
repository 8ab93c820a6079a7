"""A separate connection that receives PostgreSQL's notifications."""

import asyncio
from collections.abc import Callable, Mapping

import asyncpg

from daemon.core.errors import DatabaseUnavailableError
from daemon.store.errors import connecting, translated
from daemon.store.session import CONNECT_SECONDS

CHECK_SECONDS = 3.0
TRY_LOCK = "SELECT pg_catalog.pg_try_advisory_lock($1)"

Handler = Callable[[str], None]


class Notifications:
    """
    Calls `handlers[channel](payload)` for each notification, between `open` and `close`.

    Meanwhile the session holds the advisory lock `lock_key`, by which other daemons know that this
    one is alive.
    """

    def __init__(self, url: str, handlers: Mapping[str, Handler], *, lock_key: int) -> None:
        self._url = url
        self._handlers = handlers
        self._lock_key = lock_key
        self._locked = False
        self._connection: asyncpg.Connection | None = None

    @property
    def is_open(self) -> bool:
        """Whether notifications can arrive."""
        return self._connection is not None and not self._connection.is_closed()

    async def open(self, *, on_lost: Callable[[], None]) -> None:
        """
        Connect and listen; `on_lost` is called when the connection ends.

        Raises DatabaseUnavailableError.
        """
        with connecting():
            async with asyncio.timeout(CONNECT_SECONDS):
                self._locked = False
                self._connection = await self._listen(on_lost)

    async def check(self) -> None:
        """Run a statement, to detect a dead peer. Raises DatabaseUnavailableError."""
        if self._connection is None:
            raise DatabaseUnavailableError("not connected")
        with translated():
            if self._locked:
                await self._connection.execute("SELECT 1")
            else:  # a former session of this daemon may hold it, until PostgreSQL has ended that
                self._locked = await self._connection.fetchval(TRY_LOCK, self._lock_key)

    async def close(self) -> None:
        """Terminate the connection at once."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _listen(self, on_lost: Callable[[], None]) -> asyncpg.Connection:
        connection = await asyncpg.connect(
            self._url,
            timeout=CONNECT_SECONDS,
            command_timeout=CHECK_SECONDS,
            server_settings={"application_name": "webhookd listen"},
        )
        try:
            for channel in self._handlers:
                await connection.add_listener(channel, self._received)
        except BaseException:
            connection.terminate()
            raise
        connection.add_termination_listener(lambda _: on_lost())
        return connection

    def _received(self, _connection: object, _pid: int, channel: str, payload: str) -> None:
        self._handlers[channel](payload)
