"""`webhookd demo`: runs the whole product for a while, and removes every trace of it."""

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

# The data is deleted at the end: durability would only cost time.
POSTGRES_SETTINGS = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "32MB"}


@app.command()
def demo(
    seconds: Annotated[
        float | None,
        typer.Option(
            min=0.5,
            help="Stop after this many seconds of deliveries.",
            show_default=False,
            metavar="N",
        ),
    ] = None,
    verbose: Annotated[
        bool, switch("--verbose", "Show all log lines of the daemon, not only warnings.")
    ] = False,
) -> None:
    """
    See it work: a database, the daemon, and endpoints that succeed, recover and fail.

    Everything runs on this machine and is removed at the end. Ctrl-C ends it with a summary.
    """
    import uvloop

    uvloop.run(_demo(seconds, verbose=verbose))


async def _demo(seconds: float | None, *, verbose: bool) -> None:
    from daemon.cli.support.console import Screen
    from daemon.cli.support.signals import stop_on_signals

    screen, stop = Screen(), asyncio.Event()
    screen.title("PenguinMails Webhooks demo")
    screen.aside("Starting PostgreSQL, the daemon and seven sample endpoints …")
    with temporary_folder() as folder:
        stop_on_signals(stop, at_once=lambda: remove_files(folder))
        async with temporary_postgres(folder / "postgres") as server:
            from daemon.cli.demo.scenario import Scenario

            await Scenario(screen, server.url, verbose=verbose).run(stop, seconds=seconds)


@asynccontextmanager
async def temporary_postgres(data: Path) -> "AsyncIterator[EmbeddedPostgres]":
    """Run PostgreSQL in `data` during the block; while it starts, import the scenario."""
    from daemon import embedded

    starting = asyncio.create_task(embedded.start(data, settings=POSTGRES_SETTINGS))
    await asyncio.to_thread(import_module, "daemon.cli.demo.scenario")
    server = await starting
    try:
        yield server
    finally:
        await server.stop()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder that PostgreSQL can enter even when root starts it and it runs as `nobody`."""
    from daemon.embedded.os_user import inaccessible_part, server_account

    account = server_account()
    usual = Path(tempfile.gettempdir())
    # root's own TMPDIR may be closed to other users; /tmp never is.
    parent = Path("/tmp") if inaccessible_part(usual, account) else usual  # noqa: S108  mkdtemp makes it safe
    folder = Path(tempfile.mkdtemp(prefix="webhookd-demo-", dir=parent))
    try:
        folder.chmod(0o711 if account else 0o700)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_files(folder: Path) -> None:
    """Remove what an abrupt exit would leave; PostgreSQL itself ends with this process."""
    with suppress(OSError):
        shutil.rmtree((folder / "postgres" / "socket").readlink(), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
