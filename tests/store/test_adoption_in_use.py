"""Tables are adopted while the application inserts, and after an adoption that was killed."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest

from daemon.store import migrations, partitioning
from daemon.store.adoption import Options, adopt
from daemon.store.partitioning import Layout
from tests.support import specification
from tests.support.application import Application
from tests.support.catalog import catalog
from tests.support.commandline import environment
from tests.support.daemons import serving, until
from tests.support.deliveries import nothing_pending
from tests.support.layouts import make
from tests.support.postgres import temporary_database
from tests.support.receiver import Receiver

# Locks are held for some catalog entries only; the rest is for a busy machine.
LONGEST_WAIT_SECONDS = 3.0


def silent(_: str) -> None:
    pass


@pytest.fixture
async def db(empty_database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the application, whose tables are as the specification prints them."""
    connection = await asyncpg.connect(empty_database)
    await specification.create_tables(connection)
    yield connection
    await connection.close()


class Writer:
    """Inserts events and deliveries as the specification's application does."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.events: list[UUID] = []
        self.deliveries: list[UUID] = []
        self.slowest = 0.0
        self.stops = False
        self._db = connection

    async def run(self) -> None:
        while not self.stops:
            began = time.monotonic()
            event, delivery = uuid4(), uuid4()
            await self._db.execute(
                "INSERT INTO webhook_events (id, tenant_id, event_type, event_data)"
                f" VALUES ('{event}', '{specification.TENANT}', 'email.opened', '{{}}')"
            )
            self.events.append(event)
            await self._db.execute(
                "INSERT INTO webhook_deliveries (id, webhook_id, event_id, status, next_retry_at)"
                f" VALUES ('{delivery}', '{specification.WEBHOOK}', '{event}', 'pending_retry',"
                " now())"
            )
            self.deliveries.append(delivery)
            self.slowest = max(self.slowest, time.monotonic() - began)


@asynccontextmanager
async def writing(url: str) -> AsyncIterator[Writer]:
    connection = await asyncpg.connect(url)
    writer = Writer(connection)
    task = asyncio.create_task(writer.run())
    yield writer
    writer.stops = True
    await task
    await connection.close()


SENT_SINCE = "SELECT id FROM webhook_events WHERE id = ANY ($1::uuid[]) AND received_at IS NOT NULL"
PENDING_SINCE = """
    SELECT id FROM webhook_deliveries WHERE id = ANY ($1::uuid[]) AND status <> 'failed'
"""


@pytest.mark.parametrize("rows", [20_000, pytest.param(1_000_000, marks=pytest.mark.full)])
async def test_the_application_inserts_while_its_tables_are_adopted(
    rows: int, db: asyncpg.Connection, empty_database: str, receiver: Receiver
) -> None:
    await specification.fill(db, events=rows, deliveries=rows)
    await db.execute("UPDATE webhooks SET endpoint_url = $1", receiver.url)
    async with writing(empty_database) as writer:
        await until(lambda: asyncio.sleep(0, len(writer.events) > 5))
        await adopt(empty_database, Options(), say=silent)
        await migrations.migrate(empty_database)
        await partitioning.convert(empty_database)
        target = len(writer.events) + 5
        await until(lambda: asyncio.sleep(0, len(writer.events) > target))
    # `pytest -s` shows what this test is for.
    print(f"{rows} rows: the slowest two inserts took {writer.slowest:.3f} s")  # noqa: T201
    inbox = {row["event_id"] for row in await db.fetch("SELECT event_id FROM webhook_event_inbox")}
    kept = {row["id"] for row in await db.fetch(PENDING_SINCE, writer.deliveries)}
    async with serving(empty_database):
        await until(lambda: nothing_pending(Application(db)))
        await until(lambda: is_empty(db))

    # What was inserted before one moment is history, and what was inserted after it is sent.
    is_new = [event in inbox for event in writer.events]
    assert is_new == sorted(is_new)
    assert is_new[0] is False
    assert is_new[-1] is True
    is_new = [delivery in kept for delivery in writer.deliveries]
    assert is_new == sorted(is_new)
    assert {request.event["id"] for request in receiver.received} >= {
        f"evt_{event.hex}" for event in inbox
    }
    assert len(receiver.received) <= len(inbox) + len(kept)
    count = await db.fetchval("SELECT count(*) FROM webhook_events")
    assert count == rows + len(writer.events)
    assert writer.slowest < LONGEST_WAIT_SECONDS


async def is_empty(db: asyncpg.Connection) -> bool:
    return not await db.fetchval("SELECT count(*) FROM webhook_event_inbox")


WAITS = """
    SELECT pid FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE $1
"""
TERMINATE = f"SELECT pg_terminate_backend(pid) FROM ({WAITS}) AS waiting"
# What is under way when the command is killed, and what keeps it from going on.
MOMENTS = {
    "in the change of the second table": (
        "DROP INDEX idx_webhook_events_tenant_type",
        "SELECT FROM webhook_events",
    ),
    "while an index is built": (
        "CREATE INDEX CONCURRENTLY webhookd_stand_in_deliveries %",
        "LOCK TABLE webhook_deliveries IN ROW EXCLUSIVE MODE",
    ),
}


@pytest.mark.parametrize(
    "moment", [next(iter(MOMENTS)), pytest.param([*MOMENTS][1], marks=pytest.mark.full)]
)
async def test_an_adoption_that_was_killed_goes_on_where_it_was(
    moment: str, db: asyncpg.Connection, empty_database: str, postgres_url: str, tmp_path: Path
) -> None:
    waits, holds = MOMENTS[moment]
    await specification.fill(db, events=10, deliveries=200)
    watcher = await asyncpg.connect(empty_database)
    async with db.transaction():
        await db.execute(holds)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "daemon", "migrate"),
            cwd=tmp_path,
            env=environment({"DATABASE_URL": empty_database}),
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            await until(lambda: watcher.fetchval(WAITS, waits))
        finally:
            process.kill()
            await process.wait()
        await watcher.execute(TERMINATE, waits)  # else the server goes on with what it waits for
    halfway = await catalog(empty_database)

    await adopt(empty_database, Options(), say=silent)
    await migrations.migrate(empty_database)
    await partitioning.convert(empty_database)

    expected = await converted_catalog(postgres_url)
    assert await catalog(empty_database) == expected
    assert ("webhooks", "column created_at", "timestamp with time zone f now()") in halfway
    assert await db.fetchval("SELECT count(*) FROM webhook_events") == 10
    await watcher.close()


LIMIT_SESSIONS = """
    DO $$ BEGIN
        EXECUTE format('ALTER DATABASE %I SET lock_timeout = 100', current_database());
    END $$
"""
WAITS_LONGER = f"{WAITS} AND clock_timestamp() - query_start > '0.2 s'"


async def test_an_index_is_built_whatever_limits_the_role_or_the_database_has(
    db: asyncpg.Connection, empty_database: str
) -> None:
    waits, holds = MOMENTS["while an index is built"]
    await db.execute(LIMIT_SESSIONS)
    watcher = await asyncpg.connect(empty_database)
    async with db.transaction():
        await db.execute(holds)
        adopting = asyncio.create_task(adopt(empty_database, Options(), say=silent))
        await until(lambda: watcher.fetchval(WAITS_LONGER, waits))
    await adopting

    assert await migrations.migrate(empty_database)
    await watcher.close()


async def converted_catalog(server: str) -> set[tuple[str, ...]]:
    """That of a database with rows from before the partitions."""

    def make_new() -> set[tuple[str, ...]]:
        with temporary_database(server) as url, asyncio.Runner() as runner:
            runner.run(make(url, Layout.CONVERTED))
            return runner.run(catalog(url))

    return await asyncio.to_thread(make_new)
