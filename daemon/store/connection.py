"""A single connection outside any pool, for commands and migrations."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

from daemon.store import type_lookup
from daemon.store.errors import COMMAND_ERRORS, cannot_open, reported
from daemon.store.pooled_session import (
    OPTIONS,
    PooledForCommands,
    PooledPlain,
    fix_path,
    prepare_pooled,
)
from daemon.store.search_path import FIX_PATH
from daemon.store.session import (
    CONNECT_SECONDS,
    QUERY_SECONDS,
    REFUSE_POLICIES,
    Connection,
    prepare,
)
from daemon.store.tls_parameters import connect_parameters

CLOSE_SECONDS = 1.0


class PlainConnection(type_lookup.Connection):
    """A connection that knows its `url`, so that another can be opened beside it."""

    url: str


@asynccontextmanager
async def connected(
    url: str, *, plain: bool = False, pooled: bool = False
) -> AsyncIterator[Connection]:
    """
    A connection for the length of the block.

    Its session is planned and bounded as the pool's are, but every commit is durable: a command
    reports what it did. A `plain` session keeps the server's own settings and has no time limit:
    a migration takes as long as the tables are large, and does the same under `psql -f`. A `pooled`
    one has no session, and these settings in each transaction.

    Raises DatabaseUnavailableError, also in place of a database error in the block.
    """
    with reported():
        try:
            connection = await asyncpg.connect(
                **connect_parameters(url)._asdict(),
                timeout=CONNECT_SECONDS,
                command_timeout=None if plain else QUERY_SECONDS,
                **_session_options(plain=plain, pooled=pooled),
            )
        except ValueError as error:  # the URL cannot be parsed
            raise cannot_open(error) from error
        try:
            await _prepare(connection, url, plain=plain)
            yield connection
            with suppress(*COMMAND_ERRORS):
                await connection.close(timeout=CLOSE_SECONDS)
        finally:
            connection.terminate()  # a graceful close would wait for a server that hangs


def _session_options(*, plain: bool, pooled: bool) -> dict[str, object]:
    if not pooled:
        return {"connection_class": PlainConnection}
    return {"connection_class": PooledPlain if plain else PooledForCommands, **OPTIONS}


async def _prepare(connection: asyncpg.Connection, url: str, *, plain: bool) -> None:
    if isinstance(connection, PlainConnection):
        connection.url = url
        if plain:
            await connection.execute(f"{REFUSE_POLICIES}; {FIX_PATH}")
        else:
            await prepare(connection)
            await connection.execute("RESET synchronous_commit")
    elif plain:
        await fix_path(connection)
    else:
        await prepare_pooled(connection)
