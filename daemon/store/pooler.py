"""
Finds out whether a pooler lends PostgreSQL's sessions by transaction.

A session belongs to its client: its process never changes and serves no other client. The first
that is seen otherwise proves such a pooler.
"""

from contextlib import AsyncExitStack
from enum import Enum

import asyncpg

from daemon.store.errors import COMMAND_ERRORS
from daemon.store.session import CONNECT_SECONDS
from daemon.store.tls_parameters import connect_parameters

TRIES = 3
QUERY_SECONDS = 3.0
PROCESS = "SELECT pg_catalog.pg_backend_pid()"
# PgBouncer says so, with or without a SQLSTATE of its own, and ends the connection.
NO_TRANSACTIONS = "transaction blocks not allowed"


class Pooling(Enum):
    """For how long a client keeps a session of PostgreSQL."""

    SESSION = "session"
    TRANSACTION = "transaction"
    STATEMENT = "statement"


UNEXPECTED = (
    "database.pooled: a pooler in transaction mode answers at database.url. Set database.pooled ="
    " true, and database.direct_url to PostgreSQL itself; or use the pooler in session mode"
)
NOT_DIRECT = (
    "database.direct_url: a pooler in transaction mode answers there. It must lead to PostgreSQL"
    " itself, or to a pooler in session mode; without it, events are found by polling"
)
BY_STATEMENT = (
    "{}: a pooler in statement mode answers there, which allows no transactions: it must be in"
    " transaction or session mode"
)


async def pooler_mistake(url: str, *, pooled: bool, direct_url: str | None) -> str | None:
    """
    Return what is wrong with these settings about a pooler; None if nothing is or nothing answers.
    """
    try:
        pooling = await find_pooling(direct_url or url)
    except (*COMMAND_ERRORS, ValueError):
        return None  # the connection that is opened next reports it
    if pooling is Pooling.STATEMENT:
        return BY_STATEMENT.format("database.direct_url" if direct_url else "database.url")
    if pooling is Pooling.SESSION:
        return None
    if direct_url:
        return NOT_DIRECT
    return None if pooled else UNEXPECTED


async def find_pooling(url: str) -> Pooling:
    """
    Return for how long the sessions behind `url` are kept; in doubt `SESSION`.

    Raises asyncpg's errors and OSError when there is no connection.
    """
    async with AsyncExitStack() as stack:
        first, second = [await _connect(stack, url) for _ in range(2)]
        process = await first.fetchval(PROCESS)
        for _ in range(TRIES):
            try:
                await second.execute("BEGIN")
            except asyncpg.PostgresError as error:
                if NO_TRANSACTIONS in str(error):
                    return Pooling.STATEMENT
                raise
            other = await second.fetchval(PROCESS)
            # With both at work at once, one of them must get another process than before.
            if other == process or await first.fetchval(PROCESS) != process:
                return Pooling.TRANSACTION
            await second.execute("COMMIT")
    return Pooling.SESSION


async def _connect(stack: AsyncExitStack, url: str) -> asyncpg.Connection:
    connection = await asyncpg.connect(
        **connect_parameters(url)._asdict(),
        timeout=CONNECT_SECONDS,
        command_timeout=QUERY_SECONDS,
        statement_cache_size=0,
        server_settings={"application_name": "webhookd"},
    )
    stack.callback(connection.terminate)
    return connection
