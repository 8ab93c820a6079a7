"""`webhookd run`: the daemon."""

import asyncio
import gc
import os
import resource
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli import app
from daemon.cli.options import ConfigOption, configured, database_of

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.service import Service


@app.command()
def run(
    config: ConfigOption = None,
    no_embedded: Annotated[
        bool, typer.Option("--no-embedded", help="Refuse to run without a configured database.")
    ] = False,
) -> None:
    """Run the daemon until it is told to stop (SIGTERM or Ctrl-C; a second one stops at once)."""
    import uvloop

    loaded = configured(config)
    allow_open_files()
    spare_the_collector()
    uvloop.run(_run(loaded, embedded=not no_embedded))


async def _run(config: "Config", *, embedded: bool) -> None:
    from daemon.service import Service

    async with database_of(config, embedded=embedded) as url:
        service = Service(config, database_url=url)
        stop_on_signals(service)
        await service.run()


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
