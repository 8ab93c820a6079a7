"""A session keeps the default_transaction_read_only with which it began: it is replaced."""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from math import inf
from urllib.parse import urlsplit

import pytest

from daemon.core.errors import DatabaseUnavailableError, ReadOnlyDatabaseError, StatementError
from daemon.store import database as store_database
from daemon.store.database import Database
from daemon.store.writable import require_writable
from tests.support.application import Application

WRITE = "INSERT INTO tenants (id) VALUES (gen_random_uuid())"
PID = "SELECT pg_backend_pid()"


class Switch:
    """Makes the test's database read-only for new sessions, as managed services do."""

    def __init__(self, app: Application, url: str) -> None:
        self._app = app
        self._name = urlsplit(url).path.removeprefix("/")

    async def turn(self, value: str) -> None:
        await self._app.db.execute(
            f"ALTER DATABASE {self._name} SET default_transaction_read_only = {value}"
        )


@pytest.fixture
def read_only(app: Application, database: str) -> Switch:
    return Switch(app, database)


@pytest.fixture
async def pool(database: str, read_only: Switch) -> AsyncIterator[Database]:
    """A pool whose sessions began while the database was read-only."""
    await read_only.turn("on")
    opened = Database(database, size=2)
    await opened.open()
    async with opened.connection(), opened.connection():
        pass
    yield opened
    await opened.close(within=timedelta(seconds=2))


async def write(pool: Database) -> None:
    async with pool.connection() as db:
        await db.execute(WRITE)


async def pids(pool: Database) -> set[int]:
    async with pool.connection() as one, pool.connection() as other:
        return {await one.fetchval(PID), await other.fetchval(PID)}


async def test_once_the_database_accepts_writes_again_all_sessions_do(
    pool: Database, read_only: Switch
) -> None:
    with pytest.raises(ReadOnlyDatabaseError):
        await write(pool)
    await read_only.turn("off")

    async with pool.connection() as one, pool.connection() as other:
        for each in (one, other):
            await each.execute(WRITE)


@pytest.mark.parametrize("in_transaction", [True, False])
async def test_a_session_that_was_read_only_is_not_used_again(
    pool: Database, read_only: Switch, *, in_transaction: bool
) -> None:
    await read_only.turn("off")
    lent = pool.transaction() if in_transaction else pool.connection()
    with pytest.raises(ReadOnlyDatabaseError):
        async with lent as db:
            await require_writable(db)

    await write(pool)


async def test_sessions_are_not_renewed_at_each_failure(
    pool: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ReadOnlyDatabaseError):
        await write(pool)
    monkeypatch.setattr(store_database, "RENEWAL_SECONDS", inf)
    renewed = await pids(pool)

    for _ in range(3):
        with suppress(DatabaseUnavailableError):
            await write(pool)

    assert await pids(pool) == renewed


async def test_other_errors_keep_the_sessions(database: str) -> None:
    pool = Database(database, size=2)
    await pool.open()
    before = await pids(pool)
    with pytest.raises(StatementError):
        async with pool.connection() as db:
            await db.execute("SELECT 1 / 0")

    assert await pids(pool) == before
    await pool.close(within=timedelta(seconds=2))
