"""What several commands take: the configuration, the database that it names, secrets to verify."""

import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from daemon.core.errors import UsageError

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.embedded import EmbeddedPostgres
    from daemon.store.database import Connection

SECRET_VARIABLE = "WEBHOOK_SECRET"


def switch(name: str, told: str) -> Any:
    """An option that takes no value."""
    return typer.Option(name, help=told, metavar="")


ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="The configuration file.", show_default=False, metavar="FILE"),
]
JsonOption = Annotated[bool, switch("--json", "Print JSON, for programs.")]


def configured(path: Path | None) -> "Config":
    """The configuration, with logs set up as it says. Raises ConfigError."""
    from daemon import config, logs

    loaded = config.load(path)
    logs.configure(loaded.log.format, loaded.log.level)
    return loaded


@asynccontextmanager
async def database_of(config: "Config", *, migrated: bool = True) -> AsyncIterator[str]:
    """
    The URL of the configured database; without one, of the embedded PostgreSQL.

    That is the one of a daemon which is running, and else one that we start, `migrated` first.
    """
    if config.database.url is not None:
        yield config.database.url.get_secret_value()
        return
    from daemon import embedded

    data = embedded.default_data_dir()
    if url := embedded.running(data):
        _tell_place(f"the embedded PostgreSQL in {data}, which is running")
        yield url
        return
    async with embedded_postgres(migrated=migrated) as server:
        yield server.url


@asynccontextmanager
async def embedded_postgres(*, migrated: bool = True) -> "AsyncIterator[EmbeddedPostgres]":
    """One of our own, started whatever runs, `migrated` first. Raises EmbeddedPostgresError."""
    from daemon import embedded
    from daemon.store.migrations import migrate

    data = embedded.default_data_dir()
    _tell_place(f"the embedded PostgreSQL in {data}")
    server = await embedded.start(data)
    try:
        if migrated:
            await migrate(server.url)
        yield server
    finally:
        await server.stop()


def _tell_place(place: str) -> None:
    print(f"webhookd: no database.url is set: using {place}", file=sys.stderr)


@asynccontextmanager
async def connected(url: str) -> "AsyncIterator[Connection]":
    """One connection for one command. Raises DatabaseUnavailableError, in its body as well."""
    import asyncpg

    from daemon.store.database import CONNECT_SECONDS, QUERY_SECONDS
    from daemon.store.errors import cannot_open
    from daemon.store.timestamps import register_time_codec

    trouble = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
    try:
        connection = await asyncpg.connect(
            url, timeout=CONNECT_SECONDS, command_timeout=QUERY_SECONDS
        )
    except (*trouble, ValueError) as error:
        raise cannot_open(error) from error
    try:
        await register_time_codec(connection)
        yield connection
    except BrokenPipeError:  # that of our own output
        raise
    except trouble as error:
        raise cannot_open(error) from error
    finally:
        connection.terminate()  # politeness to a server that hangs would hang as well


def secrets_given(options: Sequence[str], *, needed: bool = False) -> list[str]:
    """
    The secrets to verify with: those of `--secret`, else that of the environment, else none.

    Raises UsageError for an empty one, and for none at all when one is `needed`.
    """
    environment = os.environ.get(SECRET_VARIABLE)
    secrets = list(options) or ([environment] if environment else [])
    if not all(secrets):
        raise UsageError("--secret: the secret is empty")
    if needed and not secrets:
        raise UsageError(f"--secret: give the webhook's secret, or set {SECRET_VARIABLE}")
    return secrets
