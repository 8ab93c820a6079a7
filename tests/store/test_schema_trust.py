"""What another role put in the place of a table, or attached to one, never runs with our rights."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from daemon.core.errors import DatabaseUnavailableError, MigrationError, SchemaError
from daemon.store import migrations, schema_trust
from daemon.store.connection import connected
from daemon.store.privileges import NEEDED
from tests.support.roles import other_role
from tests.support.squatters import Squatted, squatted

MIGRATIONS = """
    CREATE TABLE webhookd_migrations (
        name text PRIMARY KEY, sha256 text, applied_at timestamptz NOT NULL DEFAULT now()
    )"""
OPEN = "GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC"

# What the squatter creates before the first migration.
SQUATTED = {
    "a view": "CREATE VIEW webhookd_migrations AS SELECT hostile() AS name, NULL AS sha256",
    "a materialized view": "CREATE MATERIALIZED VIEW webhookd_migrations AS"
    " SELECT ''::text AS name, ''::text AS sha256",
    "a trigger": f"{MIGRATIONS}; CREATE TRIGGER t BEFORE INSERT OR UPDATE ON webhookd_migrations"
    " FOR EACH ROW EXECUTE FUNCTION hostile_trigger()",
    "a rule": f"{MIGRATIONS}; CREATE RULE r AS ON INSERT TO webhookd_migrations"
    " DO ALSO SELECT hostile()",
    "a policy": f"{MIGRATIONS}; CREATE POLICY p ON webhookd_migrations USING (hostile() = 'x');"
    " ALTER TABLE webhookd_migrations ENABLE ROW LEVEL SECURITY",
    "a default": f"{MIGRATIONS}; ALTER TABLE webhookd_migrations"
    " ADD COLUMN more text DEFAULT hostile()",
    "a generated column": f"{MIGRATIONS}; ALTER TABLE webhookd_migrations"
    " ADD COLUMN more text GENERATED ALWAYS AS (hostile()) STORED",
    "a constraint": f"{MIGRATIONS}; ALTER TABLE webhookd_migrations ADD CHECK (hostile() = 'x')",
    "an index": f"{MIGRATIONS}; CREATE INDEX ON webhookd_migrations (name) WHERE hostile() = 'x'",
    "a domain": "CREATE DOMAIN hostile_name AS text CHECK (hostile() = 'x');"
    " CREATE TABLE webhookd_migrations (name hostile_name PRIMARY KEY, sha256 text,"
    " applied_at timestamptz DEFAULT now())",
    "a child": f"{MIGRATIONS}; CREATE TABLE child (CHECK (hostile() = 'x'))"
    " INHERITS (webhookd_migrations)",
    "another table": "CREATE TABLE webhook_audit (at timestamptz DEFAULT now())",
    "another view": "CREATE VIEW webhook_events AS SELECT hostile() AS id",
    "a view of tenants": "CREATE VIEW tenants AS SELECT hostile() AS id",
}


@pytest.fixture
async def scene(empty_database: str) -> AsyncIterator[Squatted]:
    async with squatted(empty_database) as scene:
        yield scene


async def refusal(url: str, *, dry_run: bool = False) -> str:
    """The sentence with which `webhookd migrate` refuses the database."""
    with pytest.raises(MigrationError) as refused:
        await migrations.migrate(url, dry_run=dry_run)
    return str(refused.value)


async def verified(url: str) -> None:
    """Look at the schema as `webhookd run` and `check` do."""
    async with connected(url) as db:
        await migrations.verify(db)


@pytest.mark.parametrize("squat", SQUATTED)
async def test_nothing_in_the_place_of_a_table_is_run_by_a_migration(
    scene: Squatted, squat: str
) -> None:
    await scene.squatter.execute(SQUATTED[squat])
    await scene.squatter.execute(OPEN)

    sentences = [
        await refusal(url, dry_run=dry_run)
        for url in (scene.owner, scene.superuser)
        for dry_run in (True, False)
    ]

    assert all("drop it" in each for each in sentences), sentences
    assert not await scene.calls()


@pytest.mark.parametrize("squat", SQUATTED)
async def test_nothing_in_the_place_of_a_table_is_run_by_looking_at_the_schema(
    scene: Squatted, squat: str
) -> None:
    await scene.squatter.execute(SQUATTED[squat])
    await scene.squatter.execute(OPEN)

    for url in (scene.owner, scene.superuser):
        with pytest.raises(SchemaError):
            await verified(url)

    assert not await scene.calls()


async def test_a_whole_schema_of_another_role_is_refused_where_everyone_may_create_tables(
    scene: Squatted,
) -> None:
    for migration in migrations.known():
        await scene.squatter.execute(migration.sql)
    await scene.squatter.execute(OPEN)

    for url in (scene.owner, scene.superuser):
        with pytest.raises(
            SchemaError, match=r"belongs to role other_.*, which may not be trusted"
        ):
            await verified(url)
        assert "which may not be trusted" in await refusal(url)


async def test_once_the_table_is_dropped_the_database_is_migrated(scene: Squatted) -> None:
    await scene.squatter.execute(SQUATTED["a trigger"])
    await refusal(scene.owner)
    await scene.squatter.execute("DROP TABLE webhookd_migrations")

    assert await migrations.migrate(scene.owner) == migrations.known()
    await verified(scene.owner)


# What the owner of the tables, or a role with TRIGGER on them, attaches to one.
ATTACHED = {
    "trigger t": "CREATE TRIGGER t BEFORE INSERT ON webhook_audit FOR EACH ROW"
    " EXECUTE FUNCTION hostile_trigger()",
    "trigger u": "CREATE TRIGGER u BEFORE INSERT ON webhook_audit FOR EACH ROW"
    " WHEN (hostile() = 'x') EXECUTE FUNCTION webhook_delivery_due_now()",
    "rule r": "CREATE RULE r AS ON INSERT TO webhook_audit DO ALSO SELECT hostile()",
    "policy p": "CREATE POLICY p ON webhook_audit USING (hostile() = 'x')",
    "column more": "ALTER TABLE webhook_audit ADD COLUMN more text DEFAULT hostile()",
    "constraint c": "ALTER TABLE webhook_audit ADD CONSTRAINT c CHECK (hostile() = 'x') NOT VALID",
    "index i": "CREATE INDEX i ON webhook_audit (id) WHERE hostile() = 'x'",
    "statistics s": "CREATE STATISTICS s ON (hostile() || action), action FROM webhook_audit",
    "column typed": "ALTER TABLE webhook_audit ADD COLUMN typed hostile_name",
    "constraint o": "ALTER TABLE webhook_audit ADD CONSTRAINT o CHECK (at === at)",
}
TYPES = """
    CREATE DOMAIN hostile_name AS text CHECK (VALUE <> '');
    CREATE FUNCTION same(timestamptz, timestamptz) RETURNS boolean LANGUAGE sql RETURN true;
    CREATE OPERATOR === (FUNCTION = same, LEFTARG = timestamptz, RIGHTARG = timestamptz)
"""


@pytest.mark.parametrize("part", ATTACHED)
async def test_what_of_other_roles_is_attached_to_a_table_is_found(
    scene: Squatted, part: str
) -> None:
    await migrations.migrate(scene.owner)
    await scene.squatter.execute(TYPES)
    await scene.admin.execute(ATTACHED[part])

    connection = await asyncpg.connect(scene.owner)
    [found] = await schema_trust.foreign_code(connection)
    await connection.close()
    assert (found.table, found.part) == ("webhook_audit", part)
    assert f"{part} of the table webhook_audit uses " in await refusal(scene.owner)


async def test_what_the_owner_a_superuser_or_postgresql_made_may_be_attached_to_a_table(
    scene: Squatted,
) -> None:
    await migrations.migrate(scene.owner)
    owner = await asyncpg.connect(scene.owner)
    for connection, name in ((owner, "own"), (scene.admin, "admins")):
        await connection.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RETURN NEW; END $$;"
        )
        await owner.execute(
            f"CREATE TRIGGER {name} BEFORE INSERT ON webhook_audit FOR EACH ROW"
            f" EXECUTE FUNCTION {name}()"
        )
    await owner.execute(
        "CREATE INDEX ON webhook_audit (lower(actor));"
        "CREATE TABLE child () INHERITS (webhook_audit)"
    )
    await owner.close()

    assert await migrations.migrate(scene.owner) == []
    assert await migrations.migrate(scene.owner, dry_run=True) == []


async def test_every_table_of_the_schema_is_looked_at(database: str) -> None:
    connection = await asyncpg.connect(database)
    tables = await connection.fetch(
        "SELECT tablename, relispartition FROM pg_tables JOIN pg_class ON relname = tablename"
        " WHERE schemaname = 'public' AND relnamespace = 'public'::regnamespace"
    )
    found = await schema_trust.find_tables(connection, strict=True)
    await connection.close()

    assert {name for name, is_partition in tables if not is_partition} == {*NEEDED, "tenants"}
    assert {each.name for each in found} == {name for name, _ in tables} - {"tenants"}
    assert [each for each in found if each.fault] == []


async def test_no_partition_may_belong_to_a_role_that_is_not_trusted(database: str) -> None:
    admin = await asyncpg.connect(database)
    await admin.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
    [partition, *_] = await admin.fetchrow(
        "SELECT relid::text FROM pg_partition_tree('webhook_deliveries'::text::regclass)"
        " WHERE isleaf UNION ALL SELECT NULL ORDER BY 1"
    )
    async with other_role(database) as other:
        name = urlsplit(other).username
        if partition is None:  # one table, of which another may be a child
            partition = "child"
            await admin.execute("CREATE TABLE child () INHERITS (webhook_deliveries)")
        await verified(database)
        assert await migrations.migrate(database) == []
        await admin.execute(f"ALTER TABLE {partition} OWNER TO {name}")

        assert f"the table {partition} belongs to role {name}" in await refusal(database)
        with pytest.raises(SchemaError, match=f"the table {partition} belongs to role {name}"):
            await verified(database)
        await admin.execute(f"ALTER TABLE {partition} OWNER TO CURRENT_USER")
    await admin.close()


async def test_a_daemon_need_not_own_the_tables(empty_database: str) -> None:
    admin = await asyncpg.connect(empty_database)
    async with other_role(empty_database) as owner, other_role(empty_database) as daemon:
        await admin.execute(f"GRANT CREATE ON SCHEMA public TO {urlsplit(owner).username}")
        await migrations.migrate(owner)
        await admin.execute(
            f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {urlsplit(daemon).username}"
        )
        await verified(daemon)
        await admin.execute("GRANT CREATE ON SCHEMA public TO PUBLIC")
        with pytest.raises(SchemaError, match="which may not be trusted"):
            await verified(daemon)

        # It inherits from the owner: no doubt is left.
        await admin.execute(f"GRANT {urlsplit(owner).username} TO {urlsplit(daemon).username}")
        await verified(daemon)
        assert await migrations.migrate(daemon) == []
    await admin.close()


async def test_the_owner_of_the_database_and_of_the_schema_are_trusted(
    empty_database: str,
) -> None:
    admin = await asyncpg.connect(empty_database)
    async with other_role(empty_database) as owner:
        name = urlsplit(owner).username
        await admin.execute(f"CREATE SCHEMA hooks AUTHORIZATION {name}")
        database = urlsplit(empty_database).path[1:]
        await admin.execute(f"ALTER DATABASE {database} SET search_path = hooks, public")
        await admin.execute("GRANT CREATE ON SCHEMA hooks TO PUBLIC")
        await migrations.migrate(owner)

        await verified(empty_database)
        assert await migrations.migrate(empty_database) == []
    await admin.close()


POLICY = """
    CREATE POLICY p ON tenants USING (id = current_setting('app.tenant')::uuid);
    ALTER TABLE tenants ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY
"""


@pytest.mark.parametrize(
    "tenants",
    [
        "CREATE TABLE tenants (id uuid PRIMARY KEY, plan text)",
        "CREATE TABLE tenants (id uuid PRIMARY KEY) PARTITION BY HASH (id)",
        f"CREATE TABLE tenants (id uuid PRIMARY KEY); {POLICY}",
    ],
)
async def test_the_application_may_own_tenants(scene: Squatted, tenants: str) -> None:
    await scene.squatter.execute(f"{tenants}; GRANT ALL ON tenants TO PUBLIC")

    assert await migrations.migrate(scene.owner) == migrations.known()
    await verified(scene.owner)


async def test_row_security_that_hides_rows_from_this_role_is_refused_with_the_remedy(
    scene: Squatted,
) -> None:
    await migrations.migrate(scene.owner)
    await scene.admin.execute("ALTER TABLE webhook_audit ENABLE ROW LEVEL SECURITY")
    await verified(scene.owner)  # which policies do not concern
    await scene.admin.execute("ALTER TABLE webhook_audit FORCE ROW LEVEL SECURITY")

    with pytest.raises(
        SchemaError, match=r"row security .*: ALTER TABLE webhook_audit DISABLE ROW"
    ):
        await verified(scene.owner)


@pytest.mark.parametrize("plain", [True, False])
async def test_a_policy_is_refused_and_not_run(scene: Squatted, plain: bool) -> None:
    await scene.squatter.execute(SQUATTED["a policy"])
    await scene.squatter.execute(OPEN)

    with pytest.raises(DatabaseUnavailableError, match="affected by row-level security policy"):
        async with connected(scene.owner, plain=plain) as db:
            await db.fetch("SELECT name FROM webhookd_migrations")
    assert not await scene.calls()


@pytest.mark.parametrize("squat", ["a view", "a trigger", "an index"])
async def test_what_takes_a_table_s_place_after_it_was_looked_for_is_neither_read_nor_written(
    scene: Squatted, squat: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_for = schema_trust.find_tables

    async def outpaced(*arguments: Any, **options: Any) -> list[schema_trust.FoundTable]:
        found = await looked_for(*arguments, **options)
        if options.get("tables") != "tenants":
            await scene.squatter.execute(f"{SQUATTED[squat]}; {OPEN}")
        return found

    drop = f"DROP {'VIEW' if squat == 'a view' else 'TABLE'} webhookd_migrations"
    monkeypatch.setattr(schema_trust, "find_tables", outpaced)
    for url in (scene.owner, scene.superuser):
        with pytest.raises(SchemaError, match="lacks 0001"):
            await verified(url)
        await scene.squatter.execute(drop)
        assert await migrations.migrate(url, dry_run=True) == migrations.known()
        await scene.squatter.execute(drop)
        assert "already exists" in await refusal(url)
        await scene.squatter.execute(drop)
    assert not await scene.calls()
