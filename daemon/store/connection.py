"""A single connection outside any pool, for commands and migrations."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import asyncpg

from daemon.store import type_lookup
from daemon.store.errors import COMMAND_ERRORS, cannot_open, reported
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
async def connected(url: str, *, plain: bool = False) -> AsyncIterator[Connection]:
    """
    A connection for the length of the block.

    Its session is planned and bounded as the pool's are, but every commit is durable: a command
    reports what it did. A `plain` session keeps the server's own settings and has no time limit:
    a migration takes as long as the tables are large, and does the same under `psql -f`.

    Raises DatabaseUnavailableError, also in place of a database error in the block.
    """
    with reported():
        try:
            connection = await asyncpg.connect(
                **connect_parameters(url)._asdict(),
                connection_class=PlainConnection,
                timeout=CONNECT_SECONDS,
                command_timeout=None if plain else QUERY_SECONDS,
            )
            connection.url = url
        except ValueError as error:  # the URL cannot be parsed
            raise cannot_open(error) from error
        try:
            if plain:
                await connection.execute(REFUSE_POLICIES)
            else:
                await prepare(connection)
                await connection.execute("RESET synchronous_commit")
            yield connection
            with suppress(*COMMAND_ERRORS):
                await connection.close(timeout=CLOSE_SECONDS)
        finally:
            connection.terminate()  # a graceful close would wait for a server that hangs
