"""The loop that makes and drops partitions, and what retention does beside it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from daemon.maintenance import history_partitions
from daemon.maintenance.history_partitions import HistoryPartitions
from daemon.store import history_partitions as store
from daemon.store.database import Database
from daemon.store.partitioning import Layout
from tests.support.aged_rows import ids_in
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import insert_delivery, settled
from tests.support.layouts import add_partition, partition_of, partitions
from tests.support.receiver import Receiver
from tests.support.retention import one_round, retention_of

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
MONTH = 30 * DAY


def now() -> datetime:
    return datetime.now(UTC)


def today() -> date:
    return now().date()


@asynccontextmanager
async def keeping(url: str, retention: timedelta = MONTH) -> AsyncIterator[HistoryPartitions]:
    database = Database(url, size=1)
    await database.open()
    try:
        yield HistoryPartitions(database, retention=retention)
    finally:
        await database.close(within=DAY)


async def test_a_round_makes_what_is_missing_and_drops_all_that_has_expired(
    app: Application, database: str
) -> None:
    expected = await partitions(app.db)
    for name in expected[1:]:
        await app.db.execute(f"DROP TABLE {name}")
    expired = [await add_partition(app.db, today() - n * DAY) for n in (40, 35, 31)]
    kept = await add_partition(app.db, today() - 30 * DAY)
    async with keeping(database) as loop:
        with capture_logs() as logs:
            rest = await loop.run_once()
            assert await loop.run_once() > 0

    assert 0 < rest <= 10
    assert await partitions(app.db) == [kept, *expected]
    assert [(line["event"], line["partition"]) for line in logs] == [
        *(("history_partition.made", name) for name in expected[1:]),
        *(("history_partition.dropped", name) for name in expired),
    ]


@pytest.mark.parametrize("layout", [Layout.PLAIN], indirect=True)
async def test_a_table_without_partitions_is_left_alone(app: Application, database: str) -> None:
    async with keeping(database) as loop:
        with capture_logs() as logs:
            await loop.run_once()

    assert logs == []
    assert await partitions(app.db) == []


@pytest.mark.parametrize("obstacle", ["lock", "time"])
async def test_what_cannot_be_done_now_is_left_for_a_later_round_and_warned_of_each_hour(
    obstacle: str, app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_partitions, "BACK_OFF_SECONDS", 0.0)
    expired = await add_partition(app.db, today() - 40 * DAY)
    reader = await asyncpg.connect(database)
    async with keeping(database) as loop:
        with capture_logs() as logs:
            async with reader.transaction():
                if obstacle == "lock":
                    await reader.execute("SELECT FROM webhook_deliveries")
                else:
                    monkeypatch.setattr(store, "LIMITS", "SET LOCAL statement_timeout = '1ms'")
                await loop.run_once()
                assert logs == []
                monkeypatch.setattr(history_partitions, "WARN_EVERY_SECONDS", 0.0)
                loop._warn_at = 0.0
                for _ in range(2):
                    await loop.run_once()
            monkeypatch.undo()
            loop._next_round_at = 0.0
            await loop.run_once()
    await reader.close()

    assert [line["event"] for line in logs] == [
        *("history_partitions.failed", "history_partitions.failed"),
        "history_partition.dropped",
    ]
    assert expired not in await partitions(app.db)


async def test_rounds_that_fail_are_ever_longer_apart(app: Application, database: str) -> None:
    await add_partition(app.db, today() - 40 * DAY)
    reader = await asyncpg.connect(database)
    async with keeping(database) as loop, reader.transaction():
        await reader.execute("SELECT FROM webhook_deliveries")
        apart = []
        for _ in range(6):
            before, loop._next_round_at = asyncio.get_running_loop().time(), 0.0
            await loop.run_once()
            apart.append(round((loop._next_round_at - before) / 60))
    await reader.close()

    assert apart == [2, 4, 8, 15, 15, 15]


@pytest.fixture
async def role(app: Application) -> AsyncIterator[str]:
    """A role with the rights of a daemon on all tables, and none on the functions."""
    name = f"daemon_{uuid4().hex[:8]}"
    await app.db.execute(
        f"CREATE ROLE {name} LOGIN PASSWORD 'secret';"
        f" GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}"
    )
    yield name
    await app.db.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


async def test_a_daemon_that_may_not_make_partitions_warns_once_and_delivers(
    app: Application, database: str, role: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(history_partitions, "BACK_OFF_SECONDS", 0.0)
    for name in await partitions(app.db):
        await app.db.execute(f"DROP TABLE {name}")
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    url = urlsplit(database)
    limited = url._replace(netloc=f"{role}:secret@{url.hostname}:{url.port}").geturl()
    async with keeping(limited) as loop:
        with capture_logs() as logs:
            for _ in range(3):
                await loop.run_once()
    async with serving(limited):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))

    assert [line["event"] for line in logs] == ["history_partitions.failed"]
    assert logs[0]["reason"].startswith("permission denied for function")
    [row] = await app.deliveries(webhook)
    assert await partition_of(app.db, row["id"]) == "webhook_deliveries_undated"


async def past(app: Application, webhook: UUID, age: timedelta) -> UUID:
    return await insert_delivery(
        app, webhook, status="success", next_retry_at=None, attempted_at=now() - age
    )


@pytest.mark.parametrize("layout", list(Layout), indirect=True)
async def test_expired_rows_are_deleted_at_their_age_or_with_the_rest_of_their_partition(
    app: Application, database: str, webhook: UUID, layout: Layout
) -> None:
    young = await past(app, webhook, MONTH - HOUR)
    expired = await past(app, webhook, MONTH + HOUR)
    await past(app, webhook, MONTH + DAY + HOUR)

    async with retention_of(database, deliveries=MONTH) as loop:
        await one_round(loop)

    kept = {young} if layout is Layout.PLAIN else {young, expired}
    assert await ids_in(app, "webhook_deliveries") == kept


@pytest.mark.parametrize("layout", list(Layout), indirect=True)
async def test_a_short_retention_is_kept_to_the_hour(
    app: Application, database: str, webhook: UUID, layout: Layout
) -> None:
    if layout is not Layout.PLAIN:
        await add_partition(app.db, today() - 9 * DAY, days=3)
    young = await past(app, webhook, 7 * DAY - HOUR)
    await past(app, webhook, 7 * DAY + HOUR)

    async with retention_of(database) as loop:
        await one_round(loop)

    assert await ids_in(app, "webhook_deliveries") == {young}
