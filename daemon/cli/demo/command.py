"""`webhookd demo`: the whole product on one screen, and nothing left of it afterwards."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daemon.cli import app
from daemon.cli.support.options import switch

if TYPE_CHECKING:
    from daemon.embedded import EmbeddedPostgres

# Nobody needs this data tomorrow.
HASTE = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "32MB"}


@app.command()
def demo(
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0.5,
            help="Stop after so many seconds of deliveries.",
            show_default=False,
            metavar="N",
        ),
    ] = None,
    verbose: Annotated[
        bool, switch("--verbose", "Show all that the daemon logs, not warnings alone.")
    ] = False,
) -> None:
    """
    See it work: a database, the daemon, and endpoints that take, stumble and fail.

    Everything runs on this machine and is gone at the end. Ctrl-C ends it with a summary.
    """
    import uvloop

    uvloop.run(_demo(seconds, verbose=verbose))


async def _demo(seconds: float | None, *, verbose: bool) -> None:
    from daemon.cli.support.console import Screen
    from daemon.cli.support.signals import stop_on_signals

    screen, stop = Screen(), asyncio.Event()
    screen.title("PenguinMails Webhooks, the demo")
    screen.aside("Starting PostgreSQL, the daemon and the endpoints of two customers …")
    with temporary_folder() as folder:
        stop_on_signals(stop, at_once=lambda: wreck(folder))
        async with database(folder / "postgres") as server:
            from daemon.cli.demo.scenario import Play

            await Play(screen, server.url, verbose=verbose).perform(stop, seconds=seconds)


@asynccontextmanager
async def database(data: Path) -> "AsyncIterator[EmbeddedPostgres]":
    """PostgreSQL in a folder of its own; while it gets ready, what the play needs is imported."""
    from daemon import embedded

    starting = asyncio.create_task(embedded.start(data, settings=HASTE))
    await asyncio.to_thread(import_module, "daemon.cli.demo.scenario")
    server = await starting
    try:
        yield server
    finally:
        await server.stop()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that root's PostgreSQL, which runs as `nobody`, can enter too."""
    from daemon.embedded.account import inaccessible_part, server_account

    account = server_account()
    usual = Path(tempfile.gettempdir())
    # Root's own may be closed to others; the system's never is.
    place = Path("/tmp") if inaccessible_part(usual, account) else usual  # noqa: S108  mkdtemp makes it safe
    folder = Path(tempfile.mkdtemp(prefix="webhookd-demo-", dir=place))
    try:
        folder.chmod(0o711 if account else 0o700)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def wreck(folder: Path) -> None:
    """Remove what a sudden end would leave; PostgreSQL itself dies with us."""
    with suppress(OSError):
        shutil.rmtree((folder / "postgres" / "socket").readlink(), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
