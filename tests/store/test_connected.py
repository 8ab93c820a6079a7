"""A single connection: its session, its end, and its errors."""

import asyncpg
import pytest

from daemon.core.errors import DatabaseUnavailableError
from daemon.store.connection import connected

SETTINGS = ("enable_seqscan", "statement_timeout", "timezone", "synchronous_commit")


async def settings(db: asyncpg.Connection) -> list[str]:
    return [await db.fetchval(f"SHOW {name}") for name in SETTINGS]


async def test_a_single_connection_plans_like_the_pool_and_commits_durably(database: str) -> None:
    async with connected(database) as db:
        found = await settings(db)

    assert found == ["off", "9s", "UTC", "on"]


async def test_a_plain_connection_keeps_the_servers_own_settings(database: str) -> None:
    server = await asyncpg.connect(database)
    async with connected(database, plain=True) as db:
        found = await settings(db)

        assert found == await settings(server)
    await server.close()


@pytest.mark.parametrize(
    "url", ["postgresql://127.0.0.1:1/nowhere", "postgresql://[", "nowhere://"]
)
async def test_a_database_out_of_reach_is_unavailable(url: str) -> None:
    with pytest.raises(DatabaseUnavailableError, match="the database cannot be used: "):
        async with connected(url):
            pass


async def test_a_database_error_in_the_block_is_one_sentence(database: str) -> None:
    with pytest.raises(DatabaseUnavailableError, match='relation "no_such_table" does not exist'):
        async with connected(database) as db:
            await db.execute("SELECT FROM no_such_table")


async def test_a_broken_pipe_in_the_block_is_not_the_databases(database: str) -> None:
    with pytest.raises(BrokenPipeError):
        async with connected(database):
            raise BrokenPipeError
