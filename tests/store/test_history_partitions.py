"""Partitions of past deliveries: made for coming days, dropped as a whole, by roles that may."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import pytest

from daemon.core.errors import DatabaseBusyError
from daemon.store import history_partitions, migrations
from daemon.store.history_partitions import Expired
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.deliveries import insert_delivery
from tests.support.layouts import (
    add_partition,
    migrate_before_partitions,
    partition_name,
    partition_of,
    partitions,
)
from tests.support.roles import connected_as_other_role, name_of

DAY = timedelta(days=1)
MONTH = 30 * DAY


def today() -> date:
    return datetime.now(UTC).date()


@pytest.fixture
async def webhook(app: Application) -> UUID:
    return await app.webhook(await app.tenant(), "https://example.com")


async def past(app: Application, webhook: UUID, at: datetime | None) -> UUID:
    return await insert_delivery(app, webhook, status="success", attempted_at=at)


async def drop_all(app: Application) -> None:
    for name in await partitions(app.db):
        await app.db.execute(f"DROP TABLE {name}")


async def test_a_new_database_has_partitions_for_the_next_week(
    app: Application, webhook: UUID
) -> None:
    assert await partitions(app.db) == [partition_name(today() + n * DAY) for n in range(8)]
    assert await history_partitions.add(app.db, retention=MONTH) is None
    delivery = await past(app, webhook, datetime.now(UTC))
    assert await partition_of(app.db, delivery) == partition_name(today())


@pytest.mark.parametrize(("retention", "days"), [(DAY, 1), (MONTH, 1), (3 * MONTH, 3)])
async def test_the_next_partition_follows_the_last_one_and_is_longer_for_a_longer_retention(
    app: Application, retention: timedelta, days: int
) -> None:
    await app.db.execute(f"DROP TABLE {partition_name(today() + 7 * DAY)}")

    async with app.db.transaction():
        made = await history_partitions.add(app.db, retention=retention)
        assert await history_partitions.add(app.db, retention=retention) is None

    assert made == partition_name(today() + 7 * DAY, days=days)
    assert (await partitions(app.db))[-1] == made


async def test_after_a_long_absence_the_next_partition_begins_today(app: Application) -> None:
    await drop_all(app)
    await add_partition(app.db, today() - 40 * DAY)

    async with app.db.transaction():
        made = await history_partitions.add(app.db, retention=MONTH)

    assert made == partition_name(today())


async def test_a_day_that_has_rows_already_gets_no_partition_and_keeps_no_other_from_having_one(
    app: Application, webhook: UUID
) -> None:
    await drop_all(app)
    early = [await past(app, webhook, datetime.now(UTC) + n * DAY) for n in (0, 4)]
    await past(app, webhook, None)

    made = await all_made(app, retention=3 * MONTH)

    assert made == [partition_name(today() + n * DAY, days=days) for n, days in ((1, 3), (5, 3))]
    for delivery in early:
        assert await partition_of(app.db, delivery) == "webhook_deliveries_undated"
    assert await history_partitions.missing_days(app.db) == [today()]
    await app.db.execute("DELETE FROM webhook_deliveries WHERE attempted_at IS NOT NULL")
    assert await all_made(app, retention=3 * MONTH) == [
        partition_name(today() + n * DAY) for n in (0, 4)
    ]
    assert await history_partitions.missing_days(app.db) == []


async def test_a_day_whose_first_row_comes_while_its_partition_is_made_is_passed_over(
    app: Application, database: str, webhook: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    await drop_all(app)
    monkeypatch.setattr(history_partitions, "LIMITS", "SET LOCAL lock_timeout = '20s'")
    other = Application(await asyncpg.connect(database))
    async with other.db.transaction():
        await past(other, webhook, datetime.now(UTC))
        making = asyncio.create_task(add_in_transaction(app))
        await until(lambda: other.db.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))

    assert await making == partition_name(today() + DAY)
    await other.db.close()


async def add_in_transaction(app: Application) -> str | None:
    async with app.db.transaction():
        return await history_partitions.add(app.db, retention=MONTH)


async def all_made(app: Application, *, retention: timedelta) -> list[str]:
    made = []
    async with app.db.transaction():
        while (name := await history_partitions.add(app.db, retention=retention)) is not None:
            made.append(name)
    return made


async def test_a_partition_is_dropped_once_all_of_its_rows_have_expired(
    app: Application, webhook: UUID
) -> None:
    for days in (33, 32, 31, 30):
        await add_partition(app.db, today() - days * DAY)
    rows = [await past(app, webhook, datetime.now(UTC) - days * DAY) for days in (33, 31, 30)]

    async with app.db.transaction():
        dropped = [await history_partitions.drop(app.db, retention=MONTH) for _ in range(4)]

    names = [partition_name(today() - days * DAY) for days in (33, 32, 31)]
    assert dropped == [*(Expired(name, is_gone=True) for name in names), None]
    assert {row["id"] for row in await app.deliveries(webhook)} == {rows[2]}


async def test_no_partition_of_the_present_is_ever_dropped(app: Application) -> None:
    before = await partitions(app.db)

    async with app.db.transaction():
        assert await history_partitions.drop(app.db, retention=-1000 * DAY) is None

    assert await partitions(app.db) == before


async def test_dropping_locks_no_webhook_and_no_pending_row(app: Application) -> None:
    await add_partition(app.db, today() - 40 * DAY)

    async with app.db.transaction():
        assert await history_partitions.drop(app.db, retention=MONTH)
        locked = await app.db.fetch(
            "SELECT coalesce(relation::regclass::text, '') AS name FROM pg_locks"
            " WHERE pid = pg_backend_pid() AND mode = 'AccessExclusiveLock'"
        )

    names = {row["name"] for row in locked}
    assert "webhook_deliveries_history" in names
    assert not names & {"webhooks", "webhook_deliveries", "webhook_deliveries_pending"}


async def test_neither_step_waits_for_a_reader(
    app: Application, database: str, webhook: UUID
) -> None:
    await app.db.execute(f"DROP TABLE {partition_name(today() + 7 * DAY)}")
    await add_partition(app.db, today() - 40 * DAY)
    reader = await asyncpg.connect(database)
    async with reader.transaction():
        await reader.fetch("SELECT FROM webhook_deliveries")
        for step in (history_partitions.add, history_partitions.drop):
            with pytest.raises(DatabaseBusyError):
                async with app.db.transaction():
                    await step(app.db, retention=MONTH)
    await reader.close()


@pytest.fixture
async def roles(empty_database: str) -> AsyncIterator[dict[str, asyncpg.Connection]]:
    """Connections of the daemon's role and of the application's, which were there before."""
    await migrate_before_partitions(empty_database)
    owner = await asyncpg.connect(empty_database)
    names = {kind: f"{kind}_{uuid4().hex[:8]}" for kind in ("daemon", "application")}
    for name in names.values():
        await owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
    await owner.execute(
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {names['daemon']};"
        f" GRANT INSERT ON webhook_deliveries TO {names['application']}"
    )
    await migrations.migrate(empty_database)
    url = urlsplit(empty_database)
    connections = {
        kind: await asyncpg.connect(
            host=url.hostname, port=url.port, user=name, password="secret", database=url.path[1:]
        )
        for kind, name in names.items()
    }
    yield connections
    for connection in connections.values():
        await connection.close()
    await owner.execute("DROP SCHEMA public CASCADE")
    for name in names.values():
        await owner.execute(f"DROP ROLE {name}")
    await owner.close()


async def test_the_daemon_s_role_may_make_and_drop_partitions_and_the_application_s_may_not(
    empty_database: str, roles: dict[str, asyncpg.Connection]
) -> None:
    owner = await asyncpg.connect(empty_database)
    await owner.execute(f"DROP TABLE {partition_name(today() + 7 * DAY)}")
    await add_partition(owner, today() - 40 * DAY)

    for step in (history_partitions.add, history_partitions.drop):
        with pytest.raises(Exception, match="permission denied for function"):
            async with roles["application"].transaction():
                await step(roles["application"], retention=MONTH)
        async with roles["daemon"].transaction():
            assert await step(roles["daemon"], retention=MONTH)

    assert await partitions(owner) == [partition_name(today() + n * DAY) for n in range(8)]
    await owner.close()


async def test_the_application_s_role_inserts_into_every_partition_with_its_one_right(
    empty_database: str, roles: dict[str, asyncpg.Connection]
) -> None:
    owner = Application(await asyncpg.connect(empty_database))
    webhook = await owner.webhook(await owner.tenant(), "https://example.com")

    for status in ("pending_retry", "success", "unknown"):
        for at in (datetime.now(UTC), None):
            await roles["application"].execute(
                "INSERT INTO webhook_deliveries (webhook_id, event_id, status, attempted_at)"
                " VALUES ($1, gen_random_uuid(), $2, $3)",
                *(webhook, status, at),
            )

    assert len(await owner.deliveries(webhook)) == 6
    await owner.db.close()


@pytest.mark.parametrize(
    ("create", "named"),
    [
        ("CREATE TEMPORARY VIEW mine AS SELECT 1 FROM {}", "rule _RETURN on view mine"),
        ("CREATE TEMPORARY TABLE mine (of_type {}[])", "table mine"),
        ("CREATE FUNCTION pg_temp.mine({}) RETURNS int RETURN 1", "function mine"),
    ],
)
async def test_what_depends_on_a_partition_costs_it_its_rows_and_keeps_no_other(
    create: str, named: str, app: Application, database: str, webhook: UUID
) -> None:
    names = [await add_partition(app.db, today() - n * DAY) for n in (34, 33, 32)]
    rows = [await past(app, webhook, datetime.now(UTC) - n * DAY) for n in (34, 33, 30)]
    async with connected_as_other_role(database) as other:  # with no right on any table
        await other.execute(create.format(names[0]))

        async with app.db.transaction():
            steps = [await history_partitions.drop(app.db, retention=MONTH) for _ in range(4)]
        found = await history_partitions.dependents(app.db, retention=MONTH)
        owner = await name_of(other)

    assert steps == [
        *(Expired(names[1], is_gone=True), Expired(names[2], is_gone=True)),
        *(Expired(names[0], is_gone=False), None),
    ]
    assert {row["id"] for row in await app.deliveries(webhook)} == {rows[2]}
    [dependent] = found
    assert (dependent.partition, dependent.role) == (names[0], owner)
    assert re.sub(r"pg_temp_\d+\.", "", dependent.object).startswith(named)
    async with app.db.transaction():
        last = await history_partitions.drop(app.db, retention=MONTH)
    assert last == Expired(names[0], is_gone=True)


async def test_a_partition_that_is_used_keeps_no_other_from_being_dropped(
    app: Application, database: str
) -> None:
    names = [await add_partition(app.db, today() - n * DAY) for n in (34, 33)]
    async with connected_as_other_role(database) as other, other.transaction():
        await other.execute(f"CREATE TEMPORARY VIEW mine AS SELECT 1 FROM {names[0]}")
        async with app.db.transaction():
            first = await history_partitions.drop(app.db, retention=MONTH)
        with pytest.raises(DatabaseBusyError):
            async with app.db.transaction():
                await history_partitions.drop(app.db, retention=MONTH)

    assert first == Expired(names[1], is_gone=True)
