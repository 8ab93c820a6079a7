"""Migrations are applied once, in order, and hold up no writers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from daemon.core.errors import MigrationError, SchemaError
from daemon.runtime.package_data import package_file
from daemon.store import migrations
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.layouts import migrate_before_partitions


async def test_the_daemon_accepts_migrations_that_psql_has_run(
    empty_database: str,
) -> None:
    connection = await asyncpg.connect(empty_database)
    for migration in migrations.known():
        await connection.execute(migration.sql)

    missing = await migrations.migrate(empty_database)

    assert missing == []
    await migrations.verify(connection)
    assert (
        await connection.fetchval("SELECT count(*) FROM webhookd_migrations WHERE sha256 IS NULL")
        == 0
    )
    await connection.close()


async def test_concurrent_migrations_are_applied_once(empty_database: str) -> None:
    applied = await asyncio.gather(*(migrations.migrate(empty_database) for _ in range(4)))

    assert sorted(len(names) for names in applied) == [0, 0, 0, len(migrations.known())]


async def test_a_dry_run_changes_nothing(empty_database: str) -> None:
    missing = await migrations.migrate(empty_database, dry_run=True)

    assert missing == migrations.known()
    assert await migrations.migrate(empty_database, dry_run=True) == missing


async def test_a_mistake_in_a_migration_is_reported_with_file_and_line(
    empty_database: str, tmp_path: Path
) -> None:
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE a (\n    id INT,\n    b NOTYPE\n);\n")

    with pytest.raises(MigrationError, match=r'^0001_first\.sql:3: type "notype" does not exist'):
        await migrations.migrate(empty_database, folder=tmp_path)


async def test_a_migration_edited_after_it_was_applied_is_refused(
    empty_database: str, tmp_path: Path
) -> None:
    file = tmp_path / "0001_webhooks.sql"
    file.write_text((package_file("migrations") / "0001_webhooks.sql").read_text())
    await migrations.migrate(empty_database, folder=tmp_path)
    file.write_text(file.read_text() + "\n-- an afterthought\n")

    with pytest.raises(MigrationError, match="was edited after it was applied"):
        await migrations.migrate(empty_database, folder=tmp_path)


async def test_a_schema_that_is_behind_or_ahead_is_reported(database: str) -> None:
    connection = await asyncpg.connect(database)
    await connection.execute("INSERT INTO webhookd_migrations (name) VALUES ('9999_future')")
    with pytest.raises(SchemaError, match="newer than this program"):
        await migrations.verify(connection)
    await connection.execute("DELETE FROM webhookd_migrations")
    with pytest.raises(SchemaError, match="run `webhookd migrate`"):
        await migrations.verify(connection)
    await connection.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two migrations: the second changes a table, `changed`, that is there already."""
    first = (package_file("migrations") / "0001_webhooks.sql").read_text()
    (tmp_path / "0001_webhooks.sql").write_text(first)
    (tmp_path / "0002_change.sql").write_text(
        "ALTER TABLE changed ADD COLUMN more INT;"
        "INSERT INTO webhookd_migrations (name) VALUES ('0002_change');"
    )
    return tmp_path


@asynccontextmanager
async def reading(database: str) -> AsyncIterator[None]:
    """During the block a transaction has read the table `changed`, and does not end."""
    reader = await asyncpg.connect(database)
    await reader.execute("CREATE TABLE changed (id INT)")
    async with reader.transaction():
        await reader.execute("SELECT FROM changed")
        yield
    await reader.close()


async def test_a_migration_that_waits_for_a_lock_does_not_hold_up_writers(
    empty_database: str, folder: Path
) -> None:
    writer = await asyncpg.connect(empty_database)
    await writer.execute("SET lock_timeout = '20s'")
    async with reading(empty_database):
        migrating = asyncio.create_task(migrations.migrate(empty_database, folder=folder))
        await until(
            lambda: writer.fetchval(
                "SELECT count(*) > 0 FROM pg_locks"
                " WHERE relation = 'changed'::regclass AND NOT granted"
            )
        )
        await writer.execute("INSERT INTO changed VALUES (1)")
        assert not migrating.done()

    assert [each.name for each in await migrating] == ["0001_webhooks", "0002_change"]
    assert await writer.fetchval("SELECT count(more) FROM changed") == 0
    await writer.close()


async def test_a_migration_that_never_gets_its_locks_fails_and_says_why(
    empty_database: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "LOCK_TRIES", 2)
    monkeypatch.setattr(migrations, "LOCK_PAUSE_SECONDS", 0.01)
    async with reading(empty_database):
        with pytest.raises(
            MigrationError,
            match=r"^0002_change\.sql: other transactions have held .* of pid \d+ \(role .*:",
        ):
            await migrations.migrate(empty_database, folder=folder)

    [missing] = await migrations.migrate(empty_database, folder=folder)
    assert missing.name == "0002_change"


async def test_headers_that_nest_too_deep_stop_no_migration(
    empty_database: str, tmp_path: Path
) -> None:
    for file in package_file("migrations").glob("000*.sql"):
        (tmp_path / file.name).write_text(file.read_text())
    await migrations.migrate(empty_database, folder=tmp_path)
    connection = await asyncpg.connect(empty_database)
    app = Application(connection)
    tenant = await app.tenant()
    deep, sealed = [await app.webhook(tenant, "https://receiver.example/") for _ in range(2)]
    headers = {deep: "[" * 16_000 + "]" * 16_000, sealed: '{"X-Token": "sealed:1"}'}
    await connection.executemany(
        "UPDATE webhooks SET custom_headers = $2 WHERE id = $1", list(headers.items())
    )

    await migrations.migrate(empty_database)

    rows = await connection.fetch("SELECT webhook_id FROM webhook_unbound_secrets")
    assert [row["webhook_id"] for row in rows] == [sealed]
    await migrations.verify(connection)
    await connection.close()


async def test_events_are_stamped_when_they_come_in_and_old_ones_are_not_rewritten(
    empty_database: str,
) -> None:
    await migrate_before_partitions(empty_database)
    app = Application(await asyncpg.connect(empty_database))
    tenant = await app.tenant()
    old = await app.event(tenant)
    file = "SELECT pg_relation_filenode('webhook_events')"
    before = await app.db.fetchval(file)

    await migrations.migrate(empty_database)

    new = await app.event(tenant, created_at=datetime(2001, 1, 1, tzinfo=UTC))
    rows = await app.db.fetch("SELECT id, received_at, now() AS now FROM webhook_events")
    received = {row["id"]: row["received_at"] for row in rows}
    assert received[old] is None
    assert timedelta(0) <= rows[0]["now"] - received[new] < timedelta(minutes=1)
    assert await app.db.fetchval(file) == before
    await app.db.close()
