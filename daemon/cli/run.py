"""`webhookd run`: the daemon."""

import asyncio
import ctypes
import gc
import os
import resource
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from daemon.cli import app
from daemon.cli.support.options import ConfigOption, configured, embedded_postgres, switch
from daemon.core.errors import ConfigError, EmbeddedPostgresError, UsageError

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.embedded import EmbeddedPostgres
    from daemon.service import Service

PR_SET_DUMPABLE = 4  # linux/prctl.h


@app.command()
def run(
    config: ConfigOption = None,
    no_embedded: Annotated[
        bool, switch("--no-embedded", "Refuse to run without a configured database.")
    ] = False,
) -> None:
    """Run the daemon until it is told to stop (SIGTERM or Ctrl-C; a second one stops at once)."""
    import uvloop

    loaded = configured(config)
    allow_open_files()
    leave_no_core()
    spare_the_collector()
    uvloop.run(_run(loaded, config, embedded=not no_embedded))


async def _run(config: "Config", path: Path | None, *, embedded: bool) -> None:
    url = config.database.url
    if url is not None:
        await _service(config, path, url.get_secret_value()).run()
        return
    if not embedded:
        raise UsageError("database.url is not set, and --no-embedded refuses the embedded one")
    async with embedded_postgres() as server:
        await run_upon(server, _service(config, path, server.url))


def _service(config: "Config", path: Path | None, url: str) -> "Service":
    from daemon.service import Service

    service = Service(config, database_url=url)
    stop_on_signals(service)
    reload_on_signal(service, path)
    return service


async def run_upon(server: "EmbeddedPostgres", service: "Service") -> None:
    """
    Run the service; a server of our own that ends before it is no outage to be waited for.

    Then the service is stopped in good order, and EmbeddedPostgresError raised.
    """
    watching = asyncio.create_task(_outlived(server, service))
    try:
        await service.run()
    finally:
        over = watching.done()
        watching.cancel()
    if over and watching.result():
        raise EmbeddedPostgresError("the embedded PostgreSQL has ended")


async def _outlived(server: "EmbeddedPostgres", service: "Service") -> bool:
    """Stop the service when the server has ended; False if the service was to stop anyway."""
    import structlog

    code = await server.wait()
    if service.stopping:
        return False
    structlog.get_logger().error("embedded.ended", exit_code=code, log=str(server.log))
    service.stop()
    return True


def reload_on_signal(service: "Service", path: Path | None) -> None:
    """SIGHUP reads the configuration again; one with mistakes changes nothing."""

    def read_again() -> None:
        import structlog

        from daemon import config

        try:
            service.reload(config.load(path))
        except ConfigError as error:
            structlog.get_logger().error("service.reload_refused", mistakes=error.mistakes)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, read_again)


def stop_on_signals(service: "Service") -> None:
    """The first signal stops in good order, the second at once."""
    loop = asyncio.get_running_loop()
    asked = False

    def stop() -> None:
        nonlocal asked
        if asked:
            os._exit(1)
        asked = True
        service.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)


def leave_no_core() -> None:
    """The memory holds every customer's secret: a crash must not write it to a disk or a pipe."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A limit of 0 does not hold for a pipe in core_pattern; a process that is not dumpable does.
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def spare_the_collector() -> None:
    """
    Collect cyclic garbage less often: deliveries make a thousand objects a millisecond and hardly
    a cycle, and the defaults spend a tenth of the time looking for some.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


def allow_open_files() -> None:
    """Every request under way is an open file; the usual soft limit of 1024 is an old habit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
