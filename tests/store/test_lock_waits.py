"""Waits for named locks keep no connection, end, and leave nothing behind."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta

import asyncpg
import pytest

from daemon.core.errors import DatabaseUnavailableError, LockHeldError
from daemon.store import lock_waits, named_locks
from daemon.store.database import Database
from tests.support.daemons import until
from tests.support.held_locks import hold, is_held, release


@pytest.fixture
async def holder(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A session that may take locks and never gives them back."""
    connection = await asyncpg.connect(database, server_settings={"application_name": "reports"})
    yield connection
    await connection.close()


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Database]:
    """A pool of one connection."""
    opened = Database(database, size=1)
    await opened.open()
    yield opened
    assert not opened._lock_waits._turns
    assert not opened._lock_waits._waiting
    await until(lambda: opened._lock_waits._polling is None)
    await opened.close(within=timedelta(seconds=1))


async def use(pool: Database, *names: str, used: list[str] | None = None) -> None:
    async with pool.locked(*names):
        if used is not None:
            used.append("+".join(names))


async def waiting(pool: Database, *names: str, used: list[str] | None = None) -> asyncio.Task[None]:
    """A task that waits for the locks of these names."""
    task = asyncio.create_task(use(pool, *names, used=used))
    await until(lambda: pool._lock_waits._users[names[0]])
    await asyncio.sleep(0)
    return task


async def test_the_locks_are_held_until_the_block_ends(
    pool: Database, holder: asyncpg.Connection
) -> None:
    async with pool.locked("a", "b"):
        within = [await is_held(holder, name) for name in ("a", "b", "c")]
    after = [await is_held(holder, name) for name in ("a", "b")]

    assert within == [True, True, False]
    assert after == [False, False]


async def test_what_the_block_raises_leaves_it_and_ends_the_transaction(
    pool: Database, holder: asyncpg.Connection
) -> None:
    with pytest.raises(ZeroDivisionError):
        async with pool.locked("a"):
            raise ZeroDivisionError

    assert not await is_held(holder, "a")


async def test_one_connection_serves_others_while_several_wait(
    pool: Database, holder: asyncpg.Connection
) -> None:
    await hold(holder, "a")
    await hold(holder, "b")
    used: list[str] = []
    tasks = [await waiting(pool, name, used=used) for name in ("a", "a", "b", "b")]
    async with pool.locked("c") as db:
        served = await db.fetchval("SELECT 1")
    before = list(used)
    await release(holder)
    await asyncio.gather(*tasks)

    assert (served, before) == (1, [])
    assert sorted(used) == ["a", "a", "b", "b"]


async def test_those_who_wait_for_one_lock_get_it_in_the_order_in_which_they_came(
    pool: Database, holder: asyncpg.Connection
) -> None:
    await hold(holder, "a")
    used: list[str] = []
    tasks = [await waiting(pool, "a", *more, used=used) for more in ((), ("b",), ("c",))]
    await release(holder)
    await asyncio.gather(*tasks)

    assert used == ["a", "a+b", "a+c"]


async def test_locks_that_are_named_in_different_orders_are_no_deadlock(pool: Database) -> None:
    used: list[str] = []

    async with asyncio.timeout(30):
        await asyncio.gather(
            *(use(pool, *names, used=used) for names in [("a", "b"), ("b", "a")] * 10)
        )

    assert sorted(used) == ["a+b"] * 10 + ["b+a"] * 10


async def test_every_wait_ends_with_the_holder_s_name(
    pool: Database, holder: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named_locks, "WAIT_SECONDS", 0.3)
    await hold(holder, "a")

    first, second = await asyncio.gather(use(pool, "a"), use(pool, "a"), return_exceptions=True)

    for error in (first, second):
        assert isinstance(error, LockHeldError)
        assert f"pid {holder.get_server_pid()}" in str(error)
        assert "application reports" in str(error)


async def test_waits_that_are_cancelled_keep_no_place(
    pool: Database, holder: asyncpg.Connection
) -> None:
    await hold(holder, "a")
    tasks = [await waiting(pool, "a") for _ in range(3)]
    for task in tasks[:2]:
        task.cancel()
    await release(holder)
    results = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(each) for each in results[:2]] == [asyncio.CancelledError] * 2
    assert results[2] is None


async def test_when_too_many_wait_more_of_them_are_refused_and_others_are_not(
    pool: Database, holder: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_waits, "MOST_WAITING", 2)
    await hold(holder, "a")
    tasks = [await waiting(pool, "a") for _ in range(2)]

    with pytest.raises(LockHeldError, match="too many requests wait for the lock 'a'"):
        await use(pool, "a")
    await use(pool, "b")

    await release(holder)
    await asyncio.gather(*tasks)


async def test_a_database_that_goes_away_ends_no_poll(
    pool: Database, holder: asyncpg.Connection
) -> None:
    await hold(holder, "a")
    task = await waiting(pool, "a")
    await holder.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'webhookd'"
        "   AND datname = current_database()"
    )
    await release(holder)

    with suppress(DatabaseUnavailableError):  # if it was just trying
        await task
    used: list[str] = []
    await use(pool, "a", used=used)
    assert used == ["a"]
