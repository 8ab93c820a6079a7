"""Errors of asyncpg and of the connection leave the store translated, each to its own type."""

from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from daemon.core.errors import (
    ConstraintViolationError,
    DatabaseBusyError,
    DatabaseUnavailableError,
    FullDatabaseError,
    StatementError,
    StatementTimeoutError,
)
from daemon.store.database import Database
from daemon.store.errors import translate

UNAVAILABLE = [
    ConnectionRefusedError(111, "refused"),
    TimeoutError(110, "timed out"),
    asyncpg.ConnectionDoesNotExistError("connection was closed"),
    asyncpg.AdminShutdownError("terminating connection"),
    asyncpg.CannotConnectNowError("the database system is starting up"),
    asyncpg.TooManyConnectionsError("too many clients"),
    asyncpg.InterfaceError("the pool is closing"),
    asyncpg.InternalClientError("got result for unknown protocol state"),
]
BUSY = [
    asyncpg.DeadlockDetectedError("deadlock detected"),
    asyncpg.SerializationError("could not serialize access"),
    asyncpg.LockNotAvailableError("canceling statement due to lock timeout"),
    asyncpg.ObjectInUseError("in use"),
]


@pytest.mark.parametrize("error", UNAVAILABLE, ids=lambda error: type(error).__name__)
def test_a_lost_connection_or_a_server_that_refuses_is_an_unavailable_database(
    error: Exception,
) -> None:
    assert type(translate(error)) is DatabaseUnavailableError


@pytest.mark.parametrize("error", BUSY, ids=lambda error: type(error).__name__)
def test_a_lock_of_another_transaction_is_a_busy_database(error: Exception) -> None:
    assert type(translate(error)) is DatabaseBusyError


def test_a_full_disk_is_told_from_a_lost_connection() -> None:
    error = asyncpg.DiskFullError('could not extend file "base/16384/16522"')

    assert type(translate(error)) is FullDatabaseError


def test_an_error_that_is_not_the_databases_is_not_translated() -> None:
    error = ValueError("a bug")

    assert translate(error) is error


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Database]:
    pool = Database(database, size=1)
    await pool.open()
    yield pool
    await pool.close(within=timedelta(seconds=1))


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("SELECT no_such_column", StatementError),
        ("SELECT 1 / 0", StatementError),
        (
            "INSERT INTO webhookd_migrations VALUES ('0001_webhooks')",
            ConstraintViolationError,
        ),
        ("SET statement_timeout = '10ms'; SELECT pg_sleep(5)", StatementTimeoutError),
        ("SELECT pg_terminate_backend(pg_backend_pid())", DatabaseUnavailableError),
    ],
)
async def test_the_error_of_a_statement_leaves_the_block_translated_with_its_cause(
    pool: Database, statement: str, expected: type[Exception]
) -> None:
    async def run_statement() -> None:
        async with pool.connection() as db:
            await db.execute(statement)

    with pytest.raises(expected) as caught:
        await run_statement()

    assert type(caught.value) is expected
    assert isinstance(caught.value.__cause__, asyncpg.PostgresError | asyncpg.InterfaceError)


async def test_a_statement_that_is_not_answered_in_time_is_one_that_took_too_long(
    pool: Database,
) -> None:
    async def wait() -> None:
        async with pool.connection() as db:
            await db.execute("SELECT pg_sleep(30)", timeout=0.1)

    with pytest.raises(StatementTimeoutError, match="no answer in time"):
        await wait()


async def test_a_transaction_that_fails_is_rolled_back_and_its_connection_stays_usable(
    pool: Database,
) -> None:
    async def delete_and_fail() -> None:
        async with pool.transaction() as db:
            await db.execute("DELETE FROM webhookd_migrations")
            await db.execute("SELECT no_such_column")

    with pytest.raises(StatementError):
        await delete_and_fail()

    async with pool.connection() as db:
        assert await db.fetchval("SELECT count(*) FROM webhookd_migrations") > 0


async def test_an_error_of_the_caller_passes_through_the_block(pool: Database) -> None:
    async def fail() -> None:
        async with pool.transaction():
            raise KeyError("a bug")

    with pytest.raises(KeyError):
        await fail()


async def test_waiting_too_long_for_a_free_connection_is_an_unavailable_database(
    pool: Database,
) -> None:
    async with pool.connection():
        with pytest.raises(DatabaseUnavailableError):
            await pool.connection(within=0.05).__aenter__()
