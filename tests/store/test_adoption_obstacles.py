"""What cannot be taken over is named, each difference with a remedy, and nothing is changed."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest

from daemon.core.errors import MigrationError, UsageError
from daemon.store import adoption, adoption_tables
from daemon.store.adoption import Options, adopt
from tests.support import specification
from tests.support.catalog import catalog
from tests.support.roles import other_role


def silent(_: str) -> None:
    pass


@pytest.fixture
async def db(empty_database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the application, whose tables are as the specification prints them."""
    connection = await asyncpg.connect(empty_database)
    await specification.create_tables(connection)
    await connection.execute(specification.INSERT_WEBHOOK)
    yield connection
    await connection.close()


OBSTACLES = {
    "webhooks is a view: rename it, and put its rows into an ordinary table of that name": (
        "ALTER TABLE webhooks RENAME TO hooks; CREATE VIEW webhooks AS SELECT * FROM hooks"
    ),
    "webhook_events is a partitioned table: rename it, and put": (
        "DROP TABLE webhook_events;"
        " CREATE TABLE webhook_events (created_at TIMESTAMP) PARTITION BY RANGE (created_at)"
    ),
    "webhook_events is in the schema app, and webhookd would create its tables in public:": (
        "CREATE SCHEMA app; ALTER TABLE webhook_events SET SCHEMA app;"
        " DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, app',"
        " current_database()); END $$"
    ),
    "webhooks inherits, or another table inherits from it:": (
        "CREATE TABLE archived () INHERITS (webhooks)"
    ),
    "webhook_events is unlogged: ALTER TABLE webhook_events SET LOGGED": (
        "ALTER TABLE webhook_events SET UNLOGGED"
    ),
    "webhooks has no column description: ALTER TABLE webhooks ADD COLUMN description text": (
        "ALTER TABLE webhooks DROP COLUMN description"
    ),
    "webhook_events.event_data is of the type json, not jsonb:"
    " ALTER TABLE webhook_events ALTER COLUMN event_data TYPE jsonb": (
        "ALTER TABLE webhook_events ALTER COLUMN event_data TYPE json"
    ),
    "webhooks.description is generated": (
        "ALTER TABLE webhooks DROP COLUMN description,"
        " ADD COLUMN description TEXT GENERATED ALWAYS AS (name) STORED"
    ),
    "webhooks has a column scope, which webhookd adds itself:"
    " ALTER TABLE webhooks RENAME COLUMN scope TO": "ALTER TABLE webhooks ADD COLUMN scope TEXT",
    "webhooks has a column paused_reason, which webhookd adds itself": (
        "ALTER TABLE webhooks ADD COLUMN paused_reason INT"
    ),
    "webhook_events has no primary key: ALTER TABLE webhook_events ADD PRIMARY KEY (id)": (
        "ALTER TABLE webhook_events DROP CONSTRAINT webhook_events_pkey"
    ),
    "the primary key of webhook_events is (tenant_id, id): make it (id)": (
        "ALTER TABLE webhook_events DROP CONSTRAINT webhook_events_pkey,"
        " ADD PRIMARY KEY (tenant_id, id)"
    ),
    "the unique index once allows one row of webhook_deliveries where each attempt is one": (
        "CREATE UNIQUE INDEX once ON webhook_deliveries (event_id, webhook_id)"
    ),
    "rule _RETURN on view newest depends on webhook_events.created_at, whose type changes:"
    " drop it, migrate, and create it again": (
        "CREATE VIEW newest AS SELECT max(created_at) FROM webhook_events"
    ),
    "index by_day depends on webhook_events.created_at, whose type changes:": (
        "CREATE INDEX by_day ON webhook_events (date_trunc('day', created_at))"
    ),
    "there is a table webhook_audit already, which webhookd makes: rename yours": (
        "CREATE TABLE webhook_audit (id INT)"
    ),
    "there is no table tenants, to which webhooks refers: create it first": (
        "DROP TABLE tenants CASCADE"
    ),
    "1 rows of webhooks have no name: give them one, or delete them": (
        "ALTER TABLE webhooks ALTER name DROP NOT NULL; UPDATE webhooks SET name = NULL"
    ),
    "1 rows of webhooks have a tenant_id that is not in tenants: correct them, or delete them": (
        "ALTER TABLE webhooks DROP CONSTRAINT webhooks_tenant_id_fkey; DELETE FROM tenants"
    ),
}


@pytest.mark.parametrize("sentence", OBSTACLES)
async def test_what_cannot_be_taken_over_is_named_and_nothing_is_changed(
    sentence: str, db: asyncpg.Connection, empty_database: str
) -> None:
    await db.execute(OBSTACLES[sentence])
    before = await catalog(empty_database)

    trial = await adopt(empty_database, Options(), dry_run=True, say=silent)
    with pytest.raises(MigrationError) as raised:
        await adopt(empty_database, Options(), say=silent)

    assert trial is not None
    assert sentence in str(raised.value)
    assert any(f"cannot adopt: {sentence}" in line for line in trial.lines(Options()))
    assert await catalog(empty_database) == before


async def test_tables_of_another_role_are_named_with_their_owner(
    db: asyncpg.Connection, empty_database: str
) -> None:
    async with other_role(empty_database) as url:
        role = urlsplit(url).username
        me = await db.fetchval("SELECT current_user")
        await db.execute(f"ALTER TABLE webhooks OWNER TO {role}")
        for migrates, owner, name in (
            (empty_database, role, "webhooks"),
            (url, me, "webhook_events"),
        ):
            with pytest.raises(MigrationError) as raised:
                await adopt(migrates, Options(), say=silent)
            expected = f"{name} belongs to the role {owner}: migrate as {owner}, or hand it over"
            assert expected in str(raised.value)


async def test_a_long_lock_on_a_large_table_needs_consent(
    db: asyncpg.Connection, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adoption, "LARGE_BYTES", 0)
    await db.execute("CREATE INDEX by_time ON webhook_events (created_at)")
    await db.execute(specification.INSERT_EVENTS, 10)

    with pytest.raises(MigrationError, match=r"webhook_events would be locked while .* index"):
        await adopt(empty_database, Options(), say=silent)
    with pytest.raises(MigrationError, match=r"webhooks would be locked while .*--allow-rewrite"):
        await adopt(empty_database, Options(time_zone="Asia/Tokyo"), say=silent)
    allowed = Options(time_zone="Asia/Tokyo", allow_rewrite=True)
    adopted = await adopt(empty_database, allowed, say=silent)

    assert adopted is not None
    assert "the table is rewritten" in "\n".join(adopted.lines(allowed))


async def test_an_unknown_time_zone_is_a_usage_error(
    db: asyncpg.Connection, empty_database: str
) -> None:
    assert db
    with pytest.raises(UsageError, match="--time-zone: PostgreSQL knows no time zone Nowhere/At"):
        await adopt(empty_database, Options(time_zone="Nowhere/At"), say=silent)


COLUMNS = "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0"


@pytest.mark.parametrize("table", adoption_tables.TABLES)
async def test_every_column_that_migrations_add_is_known(table: str, database: str) -> None:
    connection = await asyncpg.connect(database)

    columns = {row["attname"] for row in await connection.fetch(COLUMNS, table)}

    assert columns | {"legacy"} == {"legacy"} | {
        *adoption_tables.COLUMNS[table],
        *adoption_tables.FIRST_ADDED[table],
        *adoption_tables.LATER_ADDED[table],
    }
    await connection.close()
