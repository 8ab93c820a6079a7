"""
The database of a command: the configured one, else the embedded PostgreSQL that a daemon runs.

The rule: a command works only on a database whose schema is the one this program knows, and says
which one that is. Most start no PostgreSQL: an empty database would answer for the one that was
meant.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from daemon.core.errors import ConfigError, UsageError
from daemon.core.unprintable import escape

if TYPE_CHECKING:
    from daemon.config import Config
    from daemon.embedded import EmbeddedPostgres
    from daemon.store.database import Database
    from daemon.store.session import Connection

CLOSE_WITHIN = timedelta(seconds=2)


@asynccontextmanager
async def verified_connection(
    config: "Config", *, may_start: bool = False
) -> "AsyncIterator[Connection]":
    """
    A connection for one command, to a database whose schema was verified.

    Raises UsageError, DatabaseUnavailableError, SchemaError, or EmbeddedPostgresError.
    """
    from daemon.store.connection import connected
    from daemon.store.migrations import verify

    async with database_url(config, may_start=may_start) as url:
        await _refuse_unexpected_pooler(config, url)
        async with connected(url, pooled=config.database.pooled) as db:
            await verify(db)
            yield db


@asynccontextmanager
async def verified_pool(config: "Config") -> "AsyncIterator[Database]":
    """
    The same as a pool of one connection, for commands that need many short transactions.

    Raises UsageError, DatabaseUnavailableError, or SchemaError.
    """
    from daemon.store.database import Database
    from daemon.store.errors import reported
    from daemon.store.migrations import verify

    async with database_url(config) as url:
        await _refuse_unexpected_pooler(config, url)
        database = Database(url, size=1, pooled=config.database.pooled)
        with reported():
            await database.open()
            try:
                async with database.connection() as db:
                    await verify(db)
                yield database
            finally:
                await database.close(within=CLOSE_WITHIN)


@asynccontextmanager
async def session_url(config: "Config") -> AsyncIterator[tuple[str, bool]]:
    """
    As `database_url`, but past a pooler, where a URL for that is set; and whether one remains.

    Raises ConfigError for a pooler that is not configured.
    """
    async with database_url(config) as url:
        direct = config.database.session_url() or url
        pooled = not config.database.keeps_sessions
        if not pooled:
            await _refuse_unexpected_pooler(config, url)
        yield direct, pooled


async def _refuse_unexpected_pooler(config: "Config", url: str) -> None:
    from daemon.store.pooler import pooler_mistake

    if config.database.url is None:
        return  # the embedded server
    settings = config.database
    mistake = await pooler_mistake(url, pooled=settings.pooled, direct_url=settings.session_url())
    if mistake is not None:
        raise ConfigError([mistake])


@asynccontextmanager
async def database_url(
    config: "Config", *, may_start: bool = False, is_shown: bool = False
) -> AsyncIterator[str]:
    """
    The URL of the configured database; without one, of the embedded PostgreSQL that runs.

    Stderr names it, unless the command's own output does, where it `is_shown`.
    Where none runs, a command that `may_start` one has it for the length of the block, with its
    schema up to date. Raises UsageError if there is no database, or EmbeddedPostgresError.
    """
    if config.database.url is not None:
        if not is_shown:
            _report(f"database {config.database.display_name()}")
        yield config.database.url.get_secret_value()
        return
    from daemon import embedded
    from daemon.config.database_name import database_name

    data = embedded.default_data_dir()
    if url := embedded.running_url(data):
        name = f"{database_name(url)}: the embedded PostgreSQL in {data}, which is running"
        _report(f"database.url is not set: using {name}")
        yield url
        return
    if not may_start:
        raise UsageError(
            "there is no database: database.url is not set, and no embedded PostgreSQL runs in"
            f" {data}. If a systemd unit has its URL as a credential, use webhookd-admin"
        )
    async with embedded_postgres() as server:
        yield server.url


@asynccontextmanager
async def embedded_postgres() -> "AsyncIterator[EmbeddedPostgres]":
    """
    Start an embedded PostgreSQL and bring its schema up to date; stop it at the end of the block.

    Raises EmbeddedPostgresError, MigrationError, or SchemaError.
    """
    from daemon import embedded
    from daemon.store.migrations import migrate

    data = embedded.default_data_dir()
    _report(f"database.url is not set: using the embedded PostgreSQL in {data}")
    server = await embedded.start(data)
    try:
        await migrate(server.url)
        yield server
    finally:
        await server.stop()


@cache  # once, however many connections a command makes
def _report(description: str) -> None:
    print(f"webhookd: {escape(description)}", file=sys.stderr)
