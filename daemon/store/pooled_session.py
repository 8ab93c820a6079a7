"""
Connections through a pooler in transaction mode, where no client keeps a session.

Between two transactions the pooler may lend the session to others. So each statement runs in a
transaction, our settings end with it, and no prepared statement has a name.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from daemon.store import type_lookup
from daemon.store.identifiers import register_id_codec
from daemon.store.search_path import FIND_PATH
from daemon.store.session import (
    ARRAYS,
    LIMIT_LOCK_WAITS,
    LOOK_TYPES_UP,
    PLANNING,
    REFUSE_POLICIES,
    Connection,
)
from daemon.store.timestamps import register_time_codec

# asyncpg parses every statement without a name again, together with its execution.
OPTIONS = {"statement_cache_size": 0}
# These cannot run in a transaction, and need none of the settings.
ALONE = "CONCURRENTLY"
ARRAY_COUNT = ARRAYS.count("$")


def local(settings: str) -> str:
    """Return `SET …` statements as those that end with the transaction."""
    ending = settings.replace("SET default_transaction_isolation", "SET transaction_isolation")
    return ending.replace("SET ", "SET LOCAL ").strip().removesuffix(";")


class PooledConnection(type_lookup.Connection):
    """Begins every transaction with `settings`; a statement outside of one has its own."""

    settings = local(f"{PLANNING} {REFUSE_POLICIES}")
    _server_caps: Any  # asyncpg's own

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        # Else asyncpg, to look types up, would set it for the session, and not only for us.
        self._server_caps = self._server_caps._replace(jit=False)

    async def execute(self, query: str, *args: object, **options: Any) -> str:
        """Run one statement, or several without arguments; `BEGIN` takes the settings along."""
        run = super().execute
        begin, _, rest = query.partition(";")
        if self.is_in_transaction() or ALONE in query:
            return str(await run(query, *args, **options))
        if begin.split()[:1] == ["BEGIN"]:
            return str(await run(f"{begin}; {self.settings}; {rest}", **options))
        async with self._own_transaction():
            return str(await run(query, *args, **options))

    async def fetch(self, query: str, *args: object, **options: Any) -> list[asyncpg.Record]:
        """Return the rows of a statement."""
        fetch = super().fetch
        async with self._own_transaction():
            rows: list[asyncpg.Record] = await fetch(query, *args, **options)
        return rows

    async def fetchval(self, query: str, *args: object, **options: Any) -> Any:
        """Return a value of the first row; None without one."""
        fetchval = super().fetchval
        async with self._own_transaction():
            return await fetchval(query, *args, **options)

    async def fetchrow(self, query: str, *args: object, **options: Any) -> asyncpg.Record | None:
        """Return the first row; None without one."""
        fetchrow = super().fetchrow
        async with self._own_transaction():
            return await fetchrow(query, *args, **options)

    @asynccontextmanager
    async def _own_transaction(self) -> AsyncIterator[None]:
        """Hold a transaction for the block, unless there is one."""
        if self.is_in_transaction():
            yield
            return
        await super().execute(f"BEGIN; {self.settings}")
        try:
            yield
        except asyncpg.PostgresError:
            if not self.is_closed():
                await super().execute("ROLLBACK")
            raise
        except BaseException:
            self.terminate()  # its statement may still run
            raise
        await super().execute("COMMIT")


class PooledForRequests(PooledConnection):
    """One that serves requests: it waits for no lock longer than a moment."""

    settings = f"{PooledConnection.settings}; {local(LIMIT_LOCK_WAITS)}"


class PooledForCommands(PooledConnection):
    """One whose every commit is durable."""

    settings = f"{PooledConnection.settings}; SET LOCAL synchronous_commit = on"


class PooledPlain(PooledConnection):
    """One with the server's own settings, for migrations."""

    settings = local(REFUSE_POLICIES)


async def prepare_pooled(connection: Connection) -> None:
    """Look up what asyncpg must know of types, with only PostgreSQL's own schema searched."""
    async with connection.transaction():
        await connection.execute(local(LOOK_TYPES_UP))
        await register_time_codec(connection)
        await register_id_codec(connection)
        await connection.fetchrow(ARRAYS, *[None] * ARRAY_COUNT)
    await fix_path(connection)


async def fix_path(connection: Connection) -> None:
    """Search the same schemas in every transaction from now on, as `search_path` says."""
    assert isinstance(connection, PooledConnection)
    async with connection.transaction():
        await connection.execute("SET LOCAL search_path TO DEFAULT")
        path = await connection.fetchval(FIND_PATH)
    connection.settings = f"{connection.settings}; SET LOCAL search_path = {path}"
