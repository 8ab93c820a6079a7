"""A table of deliveries in use becomes partitions: no row is lost, and no lock is held for long."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import pytest

from daemon.core.errors import MigrationError
from daemon.store import history_partitions, migrations, partitioning
from daemon.store.partitioning import Conversion, Layout
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import insert_delivery, settled
from tests.support.layouts import (
    migrate_before_partitions,
    partition_name,
    partition_of,
    stored_before_partitions,
)
from tests.support.receiver import Receiver

LEGACY = "webhook_deliveries_legacy"
CONVERTED, NOTHING = Conversion(is_due=True), Conversion(is_due=False)
# The locks of a conversion are held for some catalog entries only; the rest is for a busy machine.
LONGEST_WAIT_SECONDS = 3.0

FILL = """
    INSERT INTO webhook_deliveries
           (webhook_id, event_id, event_type, payload, payload_bytes, event_created_at,
            attempted_at, next_retry_at, status)
    SELECT $1, gen_random_uuid(), 'email.opened', '{"n": 1}', 8, now(),
           now() - n * interval '30 days' / $2, CASE WHEN n % 100 = 0 THEN now() END,
           CASE WHEN n % 100 = 0 THEN 'pending_retry' WHEN n % 20 = 1 THEN 'failed'
                ELSE 'success' END
      FROM generate_series(1, $2::int) AS n
"""

NOTHING_LEFT = """
    SELECT NOT EXISTS (SELECT FROM webhook_event_inbox)
       AND NOT EXISTS (SELECT FROM webhook_deliveries
                        WHERE webhook_id = $1 AND status = 'pending_retry')
"""


@pytest.fixture
async def former(empty_database: str) -> str:
    """The URL of a database of the last version without partitions, with one delivery."""
    await migrate_before_partitions(empty_database)
    await stored_before_partitions(empty_database)
    return empty_database


@pytest.fixture
async def app(former: str) -> AsyncIterator[Application]:
    connection = await asyncpg.connect(former)
    yield Application(connection)
    await connection.close()


async def upgrade(url: str) -> Conversion:
    """What `webhookd migrate` does."""
    await migrations.migrate(url)
    return await partitioning.convert(url)


class Writer:
    """Inserts events and deliveries one by one, and remembers how long the slowest insert took."""

    def __init__(self, app: Application, tenant: UUID, webhook: UUID) -> None:
        self.inserted = 0
        self.slowest = 0.0
        self._app, self._tenant, self._webhook = app, tenant, webhook

    async def run(self) -> None:
        while True:
            began = time.monotonic()
            if self.inserted % 2:
                await self._app.event(self._tenant)
            else:
                await insert_delivery(
                    self._app,
                    self._webhook,
                    next_retry_at=datetime.now(UTC),
                    event_created_at=None,
                )
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.inserted += 1


@asynccontextmanager
async def writing(url: str, tenant: UUID, webhook: UUID) -> AsyncIterator[Writer]:
    connection = await asyncpg.connect(url)
    writer = Writer(Application(connection), tenant, webhook)
    task = asyncio.create_task(writer.run())
    yield writer
    task.cancel()
    await asyncio.wait([task])
    connection.terminate()


@pytest.mark.parametrize("rows", [20_000, pytest.param(1_000_000, marks=pytest.mark.full)])
async def test_a_table_in_use_is_converted_while_a_daemon_delivers_and_the_application_inserts(
    rows: int, app: Application, former: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    paused = await app.webhook(tenant, receiver.url + "/paused", types=["none"])
    await app.db.execute("UPDATE webhooks SET is_active = false WHERE id = $1", paused)
    await app.db.execute(FILL, paused, rows)
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    before = await app.db.fetch("SELECT id, status FROM webhook_deliveries")
    await migrations.migrate(former)
    async with serving(former), writing(former, tenant, webhook) as writer:
        await until(lambda: settled(app, webhook, "success", 20))
        during = writer.inserted
        assert await partitioning.convert(former) == CONVERTED
        assert await history_partitions.missing_days(app.db) == []
        during = writer.inserted - during
        target = writer.inserted + 40
        await until(lambda: settled(app, webhook, "success", target))
    # `pytest -s` shows what this test is for.
    print(f"{rows} rows: {during} inserts; the slowest took {writer.slowest:.3f} s")  # noqa: T201
    await app.db.execute("UPDATE webhooks SET is_active = true WHERE id = $1", paused)
    async with serving(former):
        await until(lambda: settled(app, paused, "success", rows * 95 // 100), within=120)
        await until(lambda: app.db.fetchval(NOTHING_LEFT, webhook))

    delivered = {row["id"] for row in await app.deliveries(webhook) if row["status"] == "success"}
    assert writer.inserted <= len(delivered) <= writer.inserted + 1  # the last one was cut off
    sent = [request.headers["x-penguinmails-delivery-id"] for request in receiver.received]
    assert len(sent) == len(set(sent))
    assert len(receiver.at("/hook")) == len(delivered)
    after = {
        row["id"]: row["status"]
        for row in await app.db.fetch("SELECT id, status FROM webhook_deliveries")
    }
    assert {row["id"] for row in before} <= after.keys()
    assert all(
        after[row["id"]] == row["status"] for row in before if row["status"] != "pending_retry"
    )
    assert writer.slowest < LONGEST_WAIT_SECONDS


async def test_rows_of_before_stay_where_they_are_until_they_have_their_result(
    app: Application, former: str, receiver: Receiver
) -> None:
    webhook = await app.webhook(await app.tenant(), receiver.url + "/hook")
    pending = await insert_delivery(app, webhook, next_retry_at=datetime.now(UTC))
    past = await insert_delivery(app, webhook, status="success", next_retry_at=None)
    odd = await insert_delivery(app, webhook, status="unknown", attempted_at=None)

    assert await upgrade(former) == CONVERTED

    assert {await partition_of(app.db, each) for each in (pending, past, odd)} == {LEGACY}
    async with serving(former):
        await until(lambda: settled(app, webhook, "success", 2))
    today = datetime.now(UTC).date()
    assert await partition_of(app.db, pending) == partition_name(today)
    assert {await partition_of(app.db, each) for each in (past, odd)} == {LEGACY}
    assert await upgrade(former) == NOTHING


async def test_a_former_table_without_rows_is_dropped_by_the_next_migration(
    app: Application, former: str
) -> None:
    assert await upgrade(former) == CONVERTED
    webhook = await app.webhook(await app.tenant(), "https://example.com")
    kept = await insert_delivery(app, webhook)
    await app.db.execute(f"DELETE FROM {LEGACY}")

    assert await upgrade(former) == CONVERTED

    assert await partitioning.layout(app.db) is Layout.PARTITIONED
    assert await app.db.fetchval("SELECT to_regclass($1)", LEGACY) is None
    assert [row["id"] for row in await app.deliveries(webhook)] == [kept]
    assert "legacy" not in dict((await app.deliveries(webhook))[0])
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await insert_delivery(app, uuid4())
    await app.db.execute("DELETE FROM webhooks WHERE id = $1", webhook)
    assert await app.db.fetchval("SELECT count(*) FROM webhook_deliveries") == 0


OBSTACLES = {
    "the foreign key notes_delivery_fkey of notes refers to it": (
        "CREATE TABLE notes (delivery UUID REFERENCES webhook_deliveries (id))",
        "DROP TABLE notes",
    ),
    "it has the foreign key to_events": (
        (
            "ALTER TABLE webhook_deliveries ADD CONSTRAINT to_events FOREIGN KEY (event_id)"
            " REFERENCES webhook_events (id) NOT VALID"
        ),
        "ALTER TABLE webhook_deliveries DROP CONSTRAINT to_events",
    ),
    "it has the trigger mine": (
        (
            "CREATE TRIGGER mine AFTER DELETE ON webhook_deliveries"
            " FOR EACH STATEMENT EXECUTE FUNCTION webhook_due()"
        ),
        "DROP TRIGGER mine ON webhook_deliveries",
    ),
    "it has the index by_status": (
        "CREATE INDEX by_status ON webhook_deliveries (status)",
        "DROP INDEX by_status",
    ),
    "rule _RETURN on view failures depends on it": (
        "CREATE VIEW failures AS SELECT id FROM webhook_deliveries",
        "DROP VIEW failures",
    ),
    "policy mine on table webhook_deliveries depends on it": (
        "CREATE POLICY mine ON webhook_deliveries",
        "DROP POLICY mine ON webhook_deliveries",
    ),
    "statistics object mine depends on it": (
        "CREATE STATISTICS mine ON status, event_type FROM webhook_deliveries",
        "DROP STATISTICS mine",
    ),
    "function newest() depends on it": (
        (
            "CREATE FUNCTION newest() RETURNS webhook_deliveries LANGUAGE sql"
            " AS 'SELECT * FROM webhook_deliveries LIMIT 1'"
        ),
        "DROP FUNCTION newest()",
    ),
    "table copies depends on it": (
        "CREATE TABLE copies (delivery webhook_deliveries)",
        "DROP TABLE copies",
    ),
    "another table inherits from it": (
        "CREATE TABLE archived () INHERITS (webhook_deliveries)",
        "DROP TABLE archived",
    ),
    "the publication mine replicates it": (
        "CREATE PUBLICATION mine FOR TABLE webhook_deliveries",
        "DROP PUBLICATION mine",
    ),
    "the publication everything replicates it": (
        "CREATE PUBLICATION everything FOR ALL TABLES",
        "DROP PUBLICATION everything",
    ),
}


@pytest.mark.parametrize("sentence", OBSTACLES)
async def test_a_table_on_which_something_depends_stays_as_it_is_until_that_is_gone(
    sentence: str, app: Application, former: str
) -> None:
    create, drop = OBSTACLES[sentence]
    await app.db.execute(create)

    assert await upgrade(former) == Conversion(is_due=False, obstacles=(sentence,))

    assert await partitioning.layout(app.db) is Layout.PLAIN
    await app.db.execute(drop)
    assert await partitioning.convert(former, dry_run=True) == CONVERTED
    assert await partitioning.layout(app.db) is Layout.PLAIN
    assert await upgrade(former) == CONVERTED


async def test_an_empty_table_on_which_something_depends_stays_as_it_is(
    app: Application, former: str
) -> None:
    [(create, _)] = [OBSTACLES[each] for each in OBSTACLES if "notes" in each]
    await app.db.execute(f"DELETE FROM webhook_deliveries; {create}")

    assert (await upgrade(former)).obstacles

    assert await partitioning.layout(app.db) is Layout.PLAIN


async def test_columns_and_constraints_of_the_application_and_its_rights_are_kept(
    app: Application, former: str
) -> None:
    name = f"application_{uuid4().hex[:8]}"
    await app.db.execute(
        "ALTER TABLE webhook_deliveries ADD COLUMN note TEXT DEFAULT 'none' CHECK (note <> '');"
        f" CREATE ROLE {name}; GRANT SELECT ON webhook_deliveries TO {name} WITH GRANT OPTION;"
        f" GRANT INSERT (webhook_id, event_id) ON webhook_deliveries TO {name};"
        " GRANT SELECT ON webhook_deliveries TO PUBLIC"
    )
    rights = (
        "SELECT table_privileges.grantee, privilege_type, is_grantable, NULL AS column_name"
        " FROM information_schema.table_privileges WHERE table_name = 'webhook_deliveries'"
        " UNION ALL SELECT grantee, privilege_type, is_grantable, column_name"
        " FROM information_schema.column_privileges WHERE table_name = 'webhook_deliveries'"
        " AND privilege_type = 'INSERT' AND column_name <> ALL ($1) ORDER BY 1, 2, 3, 4"
    )
    added = ["legacy", "chain_start", "chain_replays", "brought_forward"]
    before = await app.db.fetch(rights, added)

    assert await upgrade(former) == CONVERTED

    assert await app.db.fetch(rights, added) == before
    webhook = await app.webhook(await app.tenant(), "https://example.com")
    await app.db.execute(f"SET ROLE {name}")
    await app.db.execute(
        "INSERT INTO webhook_deliveries (webhook_id, event_id) VALUES ($1, $2)", webhook, uuid4()
    )
    await app.db.execute("RESET ROLE")
    assert [row["note"] for row in await app.deliveries(webhook)] == ["none"]
    with pytest.raises(asyncpg.CheckViolationError):
        await insert_delivery(app, webhook, note="")
    await app.db.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


async def test_a_table_of_another_role_keeps_its_owner(app: Application, former: str) -> None:
    name = f"owner_{uuid4().hex[:8]}"
    await app.db.execute(
        f"CREATE ROLE {name}; ALTER TABLE webhook_deliveries OWNER TO {name};"
        # Tables of other roles are not trusted.
        f" ALTER DATABASE {urlsplit(former).path[1:]} OWNER TO {name}"
    )

    assert await upgrade(former) == CONVERTED

    owners = await app.db.fetch(
        "SELECT DISTINCT tableowner FROM pg_tables WHERE tablename IN ('webhook_deliveries',"
        " 'webhook_deliveries_pending', 'webhook_deliveries_history', 'webhook_deliveries_legacy')"
    )
    assert [row["tableowner"] for row in owners] == [name]
    await app.db.execute(f"REASSIGN OWNED BY {name} TO CURRENT_USER; DROP ROLE {name}")


@asynccontextmanager
async def reading(url: str) -> AsyncIterator[None]:
    """During the block a transaction has read the table, and does not end."""
    reader = await asyncpg.connect(url)
    async with reader.transaction():
        await reader.execute("SELECT FROM webhook_deliveries")
        yield
    await reader.close()


async def test_a_conversion_that_waits_for_a_lock_does_not_hold_up_writers(
    app: Application, former: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "LOCK_PAUSE_SECONDS", 0.1)
    await migrations.migrate(former)
    webhook = await app.webhook(await app.tenant(), "https://example.com")
    observer = await asyncpg.connect(former)
    await app.db.execute("SET lock_timeout = '20s'")
    async with reading(former):
        converting = asyncio.create_task(partitioning.convert(former))
        for _ in range(3):
            await until(
                lambda: observer.fetchval(
                    "SELECT count(*) > 0 FROM pg_locks"
                    " WHERE relation = 'webhook_deliveries'::regclass AND NOT granted"
                )
            )
            await insert_delivery(app, webhook)
        assert not converting.done()
    assert await converting == CONVERTED
    await observer.close()

    assert len(await app.deliveries(webhook)) == 3


async def test_a_conversion_that_never_gets_its_locks_changes_nothing_and_can_be_repeated(
    app: Application, former: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "LOCK_TRIES", 2)
    monkeypatch.setattr(migrations, "LOCK_PAUSE_SECONDS", 0.01)
    await migrations.migrate(former)
    async with reading(former):
        with pytest.raises(MigrationError, match=r"^webhook_deliveries: other transactions have"):
            await partitioning.convert(former)

    assert await partitioning.layout(app.db) is Layout.PLAIN
    assert await partitioning.convert(former) == CONVERTED


async def test_a_conversion_that_was_interrupted_is_done_again(
    app: Application, former: str
) -> None:
    await migrations.migrate(former)
    await app.db.execute(partitioning.MARK_ROWS)
    webhook = await app.webhook(await app.tenant(), "https://example.com")
    await insert_delivery(app, webhook)

    assert await partitioning.convert(former) == CONVERTED

    assert len(await app.deliveries(webhook)) == 1


async def test_two_conversions_at_once_convert_once(app: Application, former: str) -> None:
    await migrations.migrate(former)

    found = await asyncio.gather(*(partitioning.convert(former) for _ in range(3)))

    assert sorted(each.is_due for each in found) == [False, False, True]
    assert await partitioning.layout(app.db) is Layout.CONVERTED
