"""
The wait for the database at the start of a daemon, which is visible from outside meanwhile.

One that is down is awaited for half a minute, a standby until it is promoted.
"""

import asyncio
from datetime import timedelta

import structlog
from aiohttp import web

from daemon.admin.api.client_address import TrustedProxies
from daemon.admin.server.admin_port import AdminPort
from daemon.admin.server.app import make_app
from daemon.admin.server.readiness import Lag, Report
from daemon.core.errors import DatabaseUnavailableError, ReadOnlyDatabaseError
from daemon.runtime import systemd
from daemon.runtime.loop import sleep_until_woken
from daemon.runtime.metrics import Metrics
from daemon.store.database import Database
from daemon.store.encoding import require_utf8
from daemon.store.errors import NONE_WRITABLE
from daemon.store.writable import require_writable

log = structlog.get_logger()

# How long a database that is just starting is waited for.
DATABASE_WAIT_SECONDS = 30.0
RETRY_SECONDS = 1.0
CLOSE_WITHIN = timedelta(seconds=1)
# systemd is told each second to be patient this much longer.
MORE_TIME = f"EXTEND_TIMEOUT_USEC={60_000_000}"


class DatabaseWait:
    """Opens `database`; while that is in vain, the admin port says why."""

    alive = True

    def __init__(self, database: Database, port: AdminPort, *, proxies: TrustedProxies) -> None:
        self._database = database
        self._port = port
        self._proxies = proxies
        self._reason = ""
        self._runner: web.AppRunner | None = None

    async def until_open(self, stop: asyncio.Event) -> bool:
        """
        Open the database; False if `stop` is set first.

        Raises DatabaseUnavailableError when waiting does not help, ListenError, or ConfigError for
        a pooler that is not configured and for a database that is not in UTF-8.
        """
        give_up_at = asyncio.get_running_loop().time() + DATABASE_WAIT_SECONDS
        try:
            while not stop.is_set():
                try:
                    await self._open()
                except DatabaseUnavailableError as failure:
                    error = await self._understood(failure)
                    self._raise_if_hopeless(error, give_up_at)
                    await self._report(error)
                    await sleep_until_woken(stop, RETRY_SECONDS)
                else:
                    return True
            return False
        finally:
            if self._runner is not None:
                await self._runner.cleanup()

    def report(self) -> Report:
        """Not ready, with the reason."""
        return Report(
            ready=False,
            checks={"database": {"ok": False, "error": self._reason}},
            loops={},
            lag=Lag(fanout=0.0, dispatch=0.0, oldest_due=0.0),
            schema_error=None,
        )

    async def _open(self) -> None:
        await self._database.require_sessions()
        await self._database.open()
        try:
            async with self._database.connection() as db:
                await require_utf8(db)
                await require_writable(db)
        except DatabaseUnavailableError:
            await self._database.close(within=CLOSE_WITHIN)  # another host may have been promoted
            raise

    async def _understood(self, error: DatabaseUnavailableError) -> DatabaseUnavailableError:
        """Of a primary that is down beside a standby: that a promotion is awaited."""
        is_clear = isinstance(error, ReadOnlyDatabaseError) or not error.transient
        if is_clear or not await self._database.answers_read_only():
            return error
        return ReadOnlyDatabaseError(NONE_WRITABLE)

    def _raise_if_hopeless(self, error: DatabaseUnavailableError, give_up_at: float) -> None:
        if isinstance(error, ReadOnlyDatabaseError):
            systemd.notify(MORE_TIME)
        elif not error.transient or asyncio.get_running_loop().time() > give_up_at:
            raise error

    async def _report(self, error: DatabaseUnavailableError) -> None:
        """Log each reason once, and serve it."""
        if str(error) != self._reason:
            self._reason = str(error)
            event = "database.awaited"
            if isinstance(error, ReadOnlyDatabaseError):
                event = "database.read_only"
            log.warning(event, reason=self._reason)
            systemd.notify(f"STATUS=Waiting for the database: {self._reason}")
        if self._runner is None:
            app = make_app(readiness=self, metrics=Metrics())
            self._runner, _ = await self._port.serve(app, proxies=self._proxies)
