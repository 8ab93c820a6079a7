"""
The service: the life of a daemon, from the wait for its database to a stop in good order.

Stopping goes from the front of the house to the back: claim no more, let what is in flight finish,
store its results, give back what was not begun.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import structlog
from aiohttp import web

from daemon.admin.server.listen import serve
from daemon.admin.server.readiness import Readiness
from daemon.config import Config
from daemon.core.errors import DatabaseUnavailableError, UsageError
from daemon.runtime import systemd
from daemon.runtime.loop import run_loop, sleep_until_woken
from daemon.store import migrations
from daemon.store.database import Database
from daemon.wiring import Components, app_of, build, master_keys

log = structlog.get_logger()

# How long a database that is just starting is waited for.
PATIENCE_SECONDS = 30.0
API_CONNECTIONS = 4
LAST_TURN_SECONDS = 2.0
LAST_RESULTS_SECONDS = 5.0


class Service:
    """One daemon. `run` is its whole life; `port` is where it serves once it runs."""

    def __init__(self, config: Config, *, database_url: str) -> None:
        self._config = config
        self._database = Database(database_url, size=config.database.pool_size)
        # The API's own: whatever people ask for, deliveries wait for none of it.
        self._desk = Database(database_url, size=API_CONNECTIONS)
        self._stop = asyncio.Event()
        self._house: Components | None = None
        self.port = 0

    def stop(self) -> None:
        """Ask for a stop in good order; returns at once."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._stop.is_set()

    def reload(self, config: Config) -> None:
        """Take other master keys; what else has changed in `config` waits for the next start."""
        waiting = config.differences(self._config, ignoring="security.master_keys")
        if waiting:
            log.warning("service.restart_needed", settings=waiting)
        if self._house is not None:
            self._house.vault.use(master_keys(config))
            self._house.custodian.keys_changed()
            log.info("service.reloaded", keys=self._house.vault.key_ids)

    async def run(self, *, on_ready: Callable[[], None] = lambda: None) -> None:
        """
        Run until `stop`.

        Raises DatabaseUnavailableError, SchemaError or UsageError when it cannot begin; from then
        on nothing that happens outside makes it raise.
        """
        if not await self._open_database():
            return
        try:
            house = self._house = build(self._config, self._database)
            try:
                await self._live(house, on_ready)
            finally:
                if house.notifier is not None:
                    await house.notifier.close()
                await house.listener.close()
                await house.sender.close()
        finally:
            await self._desk.close(within=timedelta(seconds=2))
            await self._database.close(within=timedelta(seconds=2))

    async def _open_database(self) -> bool:
        """Wait for a database that may yet come; False when we are told to stop before it did."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + PATIENCE_SECONDS
        while True:
            try:
                await self._database.open()
                break
            except DatabaseUnavailableError as error:
                if not error.may_pass or loop.time() > give_up:
                    raise
                log.warning("database.awaited", reason=str(error))
            await sleep_until_woken(self._stop, 1.0)
            if self._stop.is_set():
                return False
        async with self._database.connection() as db:
            await migrations.verify(db)
        if self._config.admin.tokens:
            await self._desk.open()
        return True

    async def _live(self, house: Components, on_ready: Callable[[], None]) -> None:
        runner = await self._serve(house)
        try:
            async with asyncio.TaskGroup() as group:
                closing = asyncio.Event()
                settling = group.create_task(
                    run_loop(house.settler, stop=closing, pulse=house.pulse)
                )
                front = [
                    group.create_task(run_loop(loop, stop=self._stop, pulse=house.pulse))
                    for loop in house.front
                ]
                watchdog = group.create_task(_feed_watchdog(house.readiness))
                log.info(
                    "service.started",
                    port=self.port,
                    schema=house.readiness.schema,
                    api="on" if self._config.admin.tokens else "off: admin.tokens is empty",
                )
                systemd.notify("READY=1")
                on_ready()
                await self._stop.wait()
                await self._stop_in_order(house, front, settling, closing)
                watchdog.cancel()
        finally:
            await runner.cleanup()
        log.info("service.stopped")

    async def _stop_in_order(
        self,
        house: Components,
        front: list[asyncio.Task[None]],
        settling: asyncio.Task[None],
        closing: asyncio.Event,
    ) -> None:
        log.info("service.stopping", in_flight=house.worker.in_flight)
        systemd.notify("STOPPING=1")
        house.readiness.stopping = True
        house.worker.close()
        for loop in house.front:
            loop.wake.set()
        # A turn is a few milliseconds, unless the database stands still.
        _, stuck = await asyncio.wait(front, timeout=LAST_TURN_SECONDS)
        for task in stuck:
            task.cancel()
        await house.worker.drain(within=self._config.delivery.drain)
        try:
            async with asyncio.timeout(LAST_RESULTS_SECONDS):
                await house.settler.emptied()
        except TimeoutError:
            log.warning("settle.results_left", count=house.settler.backlog)
        closing.set()
        house.settler.wake.set()
        settling.cancel()
        await asyncio.wait([settling])

    async def _serve(self, house: Components) -> web.AppRunner:
        admin = self._config.admin
        app = app_of(self._config, self._desk, house)
        try:
            runner, self.port = await serve(app, host=admin.host, port=admin.port)
        except OSError as error:
            where = f"{admin.host}:{admin.port}"
            reason = error.strerror or str(error)
            raise UsageError(
                f"admin.host, admin.port: cannot listen on {where}: {reason}"
            ) from error
        return runner


async def _feed_watchdog(readiness: Readiness) -> None:
    """Tell systemd that we live, while our loops turn: a database that is away is not our death."""
    interval = systemd.watchdog_interval()
    if interval is None:
        return
    while True:
        if readiness.turning:
            systemd.notify("WATCHDOG=1")
        await asyncio.sleep(interval.total_seconds() / 2)
