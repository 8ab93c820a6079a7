"""`webhookd run`: the daemon."""

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from daemon.cli import app
from daemon.cli.support.options import ConfigOption, load_config, switch
from daemon.core.errors import ConfigError, EmbeddedPostgresError, UsageError

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.embedded import EmbeddedPostgres
    from daemon.service import Service


@app.command()
def run(
    config: ConfigOption = None,
    no_embedded: Annotated[
        bool, switch("--no-embedded", "Refuse to run without a configured database.")
    ] = False,
) -> None:
    """Run the daemon until SIGTERM or Ctrl-C; a second signal stops it at once."""
    import uvloop

    from daemon.cli.support import process

    loaded = load_config(config)
    process.raise_open_file_limit()
    process.forbid_core_dumps()
    process.freeze_objects()
    uvloop.run(_run(loaded, config, embedded=not no_embedded))


async def _run(config: "Config", path: Path | None, *, embedded: bool) -> None:
    from daemon.cli.support.databases import embedded_postgres

    url = config.database.url
    if url is not None:
        await _service(config, path, url.get_secret_value()).run()
        return
    if not embedded:
        raise UsageError("database.url is not set, and --no-embedded forbids an embedded database")
    async with embedded_postgres() as server:
        await _run_on_embedded(server, _service(config, path, server.url))


def _service(config: "Config", path: Path | None, url: str) -> "Service":
    from daemon.cli.support.signals import stop_on_signals
    from daemon.runtime import systemd
    from daemon.service import Service

    service = Service(config, database_url=url, passed=systemd.passed_sockets())
    stop_on_signals(asyncio.Event(), on_stop=service.stop)
    _reload_on_sighup(service, path)
    return service


def _reload_on_sighup(service: "Service", path: Path | None) -> None:
    """Reload the configuration at SIGHUP; one with mistakes is logged and changes nothing."""

    def reload() -> None:
        import structlog

        from daemon import config, logs

        try:
            loaded = config.load(path)
            logs.configure(loaded.log.format, loaded.log.level)
            service.reload(loaded)
        except ConfigError as error:
            structlog.get_logger().error("service.reload_refused", mistakes=error.mistakes)
            service.refuse_reload()

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)


async def _run_on_embedded(server: "EmbeddedPostgres", service: "Service") -> None:
    """
    Run the service, and stop it in order should the embedded PostgreSQL exit before it.

    Unlike an outage of a configured database, that cannot pass: raises EmbeddedPostgresError.
    """
    watching = asyncio.create_task(_stop_after_server(server, service))
    try:
        await service.run()
    finally:
        server_exited = watching.done()
        watching.cancel()
    if server_exited and watching.result():
        raise EmbeddedPostgresError("the embedded PostgreSQL has exited")


async def _stop_after_server(server: "EmbeddedPostgres", service: "Service") -> bool:
    """Stop the service once the server exits; return False if the service was stopping already."""
    import structlog

    code = await server.wait()
    if service.stopping:
        return False
    structlog.get_logger().error("embedded.ended", exit_code=code, log=str(server.log))
    service.stop()
    return True
