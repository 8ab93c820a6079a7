"""
The life of one daemon, from the wait for its database to a stop in good order.

Stopping goes along the pipeline: claim no more, let what is in flight finish, store its results,
and give back what was not begun.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from datetime import timedelta

import structlog
from aiohttp import web

from daemon.admin.api.client_address import TrustedProxies
from daemon.admin.server.admin_port import AdminPort
from daemon.admin.server.awaiting_adoption import AwaitingAdoption, awaiting_app
from daemon.admin.server.database_wait import DatabaseWait
from daemon.admin.server.manager_reports import feed_watchdog, report_status
from daemon.config import Config
from daemon.config.config import NEEDS_RESTART
from daemon.config.policies import master_keys
from daemon.maintenance.installation_guard import InstallationGuard
from daemon.runtime import systemd
from daemon.runtime.loop import Heartbeats, Loop, run_loop
from daemon.store import migrations
from daemon.store.database import Database
from daemon.wiring.admin import admin_app
from daemon.wiring.components import Components, build, build_guard

log = structlog.get_logger()

API_CONNECTIONS = 4
AUDIT_CONNECTIONS = 1
CONNECTIONS_BESIDE_POOL = API_CONNECTIONS + AUDIT_CONNECTIONS + 2  # LISTEN, and the daemon's lock
LAST_RUN_SECONDS = 2.0
LAST_RESULTS_SECONDS = 5.0
CLOSE_WITHIN = timedelta(seconds=2)
# These are taken over in place; for any other setting what works is built again.
IN_PLACE = frozenset({"security.master_keys", "log.format", "log.level"})


class Service:
    """
    One daemon: `run` is its whole life, and `port` is where it serves once it runs.

    It serves on the listening sockets in `passed`, or else on one of its own.
    """

    def __init__(
        self, config: Config, *, database_url: str, passed: Sequence[socket.socket] = ()
    ) -> None:
        self._config = config
        self._admin_port = AdminPort(config.admin.host, config.admin.port, passed=passed)
        pooled = config.database.pooled
        self._database = Database(
            database_url,
            size=config.database.pool_size,
            pooled=pooled,
            direct_url=config.database.session_url(),
        )
        # The API has connections of its own: deliveries wait for none of its queries.
        self._api_database = Database(
            database_url, size=API_CONNECTIONS, for_requests=True, pooled=pooled
        )
        # Actions and refusals are recorded while all requests wait, for a lock of a row maybe.
        self._audit_database = Database(database_url, size=AUDIT_CONNECTIONS, pooled=pooled)
        self._stop = asyncio.Event()
        self._api_is_open = False
        # Set by a stop, a reload and the guard: the end of what `_live` does.
        self._leave = asyncio.Event()
        self._announced = False
        self._guard: InstallationGuard | None = None
        self._components: Components | None = None
        self._waiting_settings = 0
        self.port = 0

    def stop(self) -> None:
        """Ask for a stop in good order; returns at once."""
        self._stop.set()
        self._leave.set()
        if self._guard is not None:
            self._guard.wake.set()

    @property
    def stopping(self) -> bool:
        """Whether a stop was asked for."""
        return self._stop.is_set()

    def reload(self, config: Config) -> None:
        """
        Take over every setting but those that need a restart, which are logged; returns at once.

        Where more has changed than master keys and the log, what is in flight ends first, for at
        most `delivery.drain`, and all parts are built again. No delivery is lost, and the admin
        port stays open.
        """
        changed = config.differences(self._config)
        waiting = [key for key in changed if key in NEEDS_RESTART]
        if waiting:
            log.warning("service.restart_needed", settings=waiting)
        self._config = config.reloaded(self._config)
        self._waiting_settings = len(waiting)
        log.info("service.reloaded", settings=[key for key in changed if key not in waiting])
        if self._components is not None:
            self._components.vault.use(master_keys(config))
            self._components.resealer.keys_changed()
            self._components.metrics.reload.succeeded(waiting=len(waiting))
        if not IN_PLACE.union(waiting).issuperset(changed):
            systemd.notify(*systemd.reloading())
            self._leave.set()

    def refuse_reload(self) -> None:
        """Note that the configuration has mistakes, for the metrics."""
        if self._components is not None:
            self._components.metrics.reload.refused()

    async def run(self, *, on_ready: Callable[[], None] = lambda: None) -> None:
        """
        Run until `stop`.

        While the database belongs to another installation, this waits until it is adopted. Raises
        DatabaseUnavailableError, SchemaError or ListenError when the daemon cannot start. Once it
        has, nothing that happens outside makes it raise.
        """
        try:
            if not await self._open_database():
                return
            guard = self._guard = build_guard(
                self._config, self._database, on_change=self._leave.set
            )
            if guard is not None:
                await guard.begin()
            while not self._stop.is_set():
                self._leave.clear()
                if guard is not None and self._is_foreign():
                    await self._await_adoption(guard, on_ready)
                else:
                    await self._work(on_ready)
        finally:
            for each in (self._audit_database, self._api_database):
                await each.close(within=CLOSE_WITHIN)
            await self._database.close(within=CLOSE_WITHIN)
            self._admin_port.close()

    async def _work(self, on_ready: Callable[[], None]) -> None:
        await self._open_for_api()
        components = self._components = build(self._config, self._database)
        components.metrics.reload.succeeded(waiting=self._waiting_settings)
        components.metrics.follow_pools(
            {
                "deliveries": self._database.usage,
                "api": self._api_database.usage,
                "audit": self._audit_database.usage,
            }
        )
        try:
            await self._live(components, on_ready)
        finally:
            self._components = None
            await _close(components)

    async def _open_database(self) -> bool:
        """Wait for a database that may still come up; False if a stop comes first."""
        wait = DatabaseWait(self._database, self._admin_port, proxies=self._proxies())
        if not await wait.until_open(self._stop):
            return False
        async with self._database.connection() as db:
            await migrations.verify(db)
        await self._open_for_api()
        return True

    async def _open_for_api(self) -> None:
        """Open the API's connections, unless it is off or has them already."""
        if self._config.admin.tokens and not self._api_is_open:
            await self._api_database.open()
            await self._audit_database.open()
            self._api_is_open = True

    def _proxies(self) -> TrustedProxies:
        return TrustedProxies(self._config.admin.trusted_proxies)

    async def _live(self, components: Components, on_ready: Callable[[], None]) -> None:
        runner = await self._serve(components)
        heartbeats = components.heartbeats
        try:
            async with asyncio.TaskGroup() as group:
                results_stop = asyncio.Event()
                results = group.create_task(
                    run_loop(components.pipeline.results, stop=results_stop, heartbeats=heartbeats)
                )
                intake = [
                    group.create_task(run_loop(loop, stop=self._leave, heartbeats=heartbeats))
                    for loop in self._intake(components)
                ]
                reports = [
                    group.create_task(feed_watchdog(components.readiness)),
                    group.create_task(report_status(components.readiness, components.metrics)),
                ]
                self._announce_start(components)
                self._announce_ready(on_ready)
                await self._leave.wait()
                await self._stop_intake(components, intake)
                await _store_last_results(components)
                await components.pipeline.fanout.release_all()
                results_stop.set()
                components.pipeline.results.wake.set()
                results.cancel()
                await asyncio.wait([results])
                for each in reports:
                    each.cancel()
        finally:
            await runner.cleanup()
        if self._stop.is_set():
            log.info("service.stopped")

    async def _await_adoption(self, guard: InstallationGuard, on_ready: Callable[[], None]) -> None:
        """Serve health alone, and touch nothing, until the database is ours or a stop comes."""
        awaiting = AwaitingAdoption(lambda: guard.reason or "")
        runner = await self._serve_app(awaiting_app(awaiting))
        watchdog = asyncio.create_task(feed_watchdog(awaiting))
        log.error("installation.foreign", reason=guard.reason, port=self.port)
        systemd.notify("READY=1", f"STATUS={guard.reason}")
        self._announce_ready(on_ready)
        try:
            await run_loop(guard, stop=self._leave, heartbeats=Heartbeats())
        finally:
            watchdog.cancel()
            await runner.cleanup()
        if guard.reason is None:
            log.warning("installation.adopted", name=guard.own_name)

    def _announce_ready(self, on_ready: Callable[[], None]) -> None:
        if not self._announced:
            self._announced = True
            on_ready()

    def _intake(self, components: Components) -> tuple[Loop, ...]:
        return components.intake if self._guard is None else (*components.intake, self._guard)

    def _served(self) -> dict[str, str]:
        """Whether there are an API and a console, and where."""
        admin = self._config.admin
        if not admin.tokens:
            return {"api": "off: admin.tokens is empty"}
        host = f"[{admin.host}]" if ":" in admin.host else admin.host
        url = (admin.public_url or f"http://{host}:{self.port}").rstrip("/")
        return {"api": "on", "console": f"{url}/console"}

    def _announce_start(self, components: Components) -> None:
        log.info(
            "service.started",
            port=self.port,
            schema=components.schema_watch.version,
            **self._served(),
        )
        systemd.notify("READY=1", "STATUS=Delivering")

    async def _stop_intake(self, components: Components, intake: list[asyncio.Task[None]]) -> None:
        """Take on no more work, and let the attempts in flight finish."""
        dispatcher = components.pipeline.dispatcher
        stops = self._stop.is_set()
        log.info("service.stopping" if stops else "service.pausing", in_flight=dispatcher.in_flight)
        if stops:
            systemd.notify("STOPPING=1")
        components.readiness.stopping = stops or self._is_foreign()
        dispatcher.close()
        for loop in self._intake(components):
            loop.wake.set()
        # A run takes a few milliseconds, unless the database hangs.
        _, stuck = await asyncio.wait(intake, timeout=LAST_RUN_SECONDS)
        for task in stuck:
            task.cancel()
        await components.replayer.close()
        await components.pipeline.fanout.drain(within=LAST_RUN_SECONDS)
        await dispatcher.drain(within=self._config.delivery.drain)

    def _is_foreign(self) -> bool:
        return self._guard is not None and self._guard.reason is not None

    async def _serve(self, components: Components) -> web.AppRunner:
        return await self._serve_app(
            admin_app(
                self._config, self._api_database, components, audit_database=self._audit_database
            )
        )

    async def _serve_app(self, app: web.Application) -> web.AppRunner:
        runner, self.port = await self._admin_port.serve(app, proxies=self._proxies())
        return runner


async def _store_last_results(components: Components) -> None:
    results = components.pipeline.results
    try:
        async with asyncio.timeout(LAST_RESULTS_SECONDS):
            await results.emptied()
    except TimeoutError:
        log.warning("result_writer.results_left", count=results.backlog)


async def _close(components: Components) -> None:
    await asyncio.gather(*(each.close() for each in components.notifiers))
    components.pipeline.results.close()
    await components.pipeline.listener.close()
    await components.pipeline.client.close()
    if components.pipeline.tracing is not None:
        await components.pipeline.tracing.close()
    components.offload.close()
