"""The application's role can publish events, and run nothing as another role."""

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from daemon.store import function_rights, migrations, privileges
from daemon.store.function_rights import Executor, ForeignTrigger
from tests.support.application import Application
from tests.support.roles import connected_as_other_role, name_of

PUBLISH = "INSERT INTO webhook_events (id, tenant_id, event_type) VALUES ($1, $2, 'email.opened')"

# A temporary table in the inbox's place, whose trigger runs with the rights of the inserter.
TRAP = """
    CREATE TEMPORARY TABLE webhook_event_inbox (event_id uuid, tenant_id uuid);
    CREATE FUNCTION pg_temp.take_over() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        EXECUTE format('ALTER ROLE %I SUPERUSER', session_user);
        RETURN NEW;
    END $$;
    CREATE TRIGGER take_over BEFORE INSERT ON webhook_event_inbox
        FOR EACH ROW EXECUTE FUNCTION pg_temp.take_over();
"""


@pytest.fixture
async def role(app: Application, database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of a role that may only insert events."""
    async with connected_as_other_role(database) as connection:
        await app.db.execute(f"GRANT INSERT ON webhook_events TO {await name_of(connection)}")
        yield connection


async def is_superuser(connection: asyncpg.Connection) -> bool:
    return bool(
        await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = session_user")
    )


async def test_the_application_role_can_publish(app: Application, role: asyncpg.Connection) -> None:
    event, tenant = uuid4(), await app.tenant()
    await role.execute(PUBLISH, event, tenant)
    await app.db.execute(
        f"GRANT INSERT ON webhooks TO {await role.fetchval('SELECT session_user')}"
    )
    webhook = await Application(role).webhook(tenant, "https://example.com")

    assert await app.db.fetchval("SELECT event_id FROM webhook_event_inbox") == event
    assert await app.db.fetchval("SELECT webhook_id FROM webhook_subscription_changes") == webhook


async def test_a_temporary_table_cannot_take_the_place_of_the_inbox(
    app: Application, role: asyncpg.Connection
) -> None:
    event = uuid4()
    await role.execute(TRAP)
    await role.execute(PUBLISH, event, uuid4())

    assert not await is_superuser(role)
    assert await app.db.fetchval("SELECT event_id FROM public.webhook_event_inbox") == event


async def test_the_trap_works_where_a_function_is_not_pinned_and_such_a_function_is_found(
    app: Application, role: asyncpg.Connection
) -> None:
    assert await privileges.unpinned_functions(app.db) == []
    await app.db.execute("ALTER FUNCTION webhook_events_arrived() SET search_path = public")
    await role.execute(TRAP)
    await role.execute(PUBLISH, uuid4(), uuid4())

    assert await is_superuser(role)
    assert await privileges.unpinned_functions(app.db) == ["webhook_events_arrived()"]
    await role.execute(f"ALTER ROLE {await name_of(role)} NOSUPERUSER")


async def test_every_function_names_its_schema_and_then_the_temporary_one(
    app: Application,
) -> None:
    # A body of the SQL standard has its names resolved when it is created.
    settings = await app.db.fetch(
        "SELECT proname, proconfig FROM pg_proc WHERE proname LIKE 'webhook%'"
        " AND prosqlbody IS NULL"
    )

    assert {row["proname"]: row["proconfig"] for row in settings} == {
        name: ["search_path=public, pg_temp"]
        for name in (
            "webhook_add_history_partition",
            "webhook_create_partitions",
            "webhook_dependents",
            "webhook_deletion_replicated",
            "webhook_delivery_copied",
            "webhook_delivery_due_now",
            "webhook_delivery_of_application",
            "webhook_drop_history_partition",
            "webhook_due",
            "webhook_event_data_changed",
            "webhook_event_known",
            "webhook_event_replicated",
            "webhook_events_arrived",
            "webhook_exploded_bytes",
            "webhook_history_dependents",
            "webhook_history_partitions",
            "webhook_keep_history",
            "webhook_keep_id",
            "webhook_keep_of_operator",
            "webhook_partition_deliveries",
            "webhook_partition_obstacles",
            "webhook_payload_bytes",
            "webhook_paused",
            "webhook_paused_by_person",
            "webhook_replicated",
            "webhook_replication_notifies",
            "webhook_rows_are_copied",
            "webhook_subscription_changed",
            "webhooks_end_of_spacing",
            "webhooks_fresh_start",
            "webhooks_secret_written",
        )
    }


# A type of the role's own, whose cast to uuid runs with the rights of whoever inserts.
BAIT = """
    CREATE TYPE pg_temp.evil AS ENUM ('x');
    CREATE FUNCTION pg_temp.take_over(pg_temp.evil) RETURNS uuid LANGUAGE plpgsql AS $$
    BEGIN
        EXECUTE format('ALTER ROLE %I SUPERUSER', session_user);
        RETURN gen_random_uuid();
    END $$;
    CREATE CAST (pg_temp.evil AS uuid) WITH FUNCTION pg_temp.take_over(pg_temp.evil) AS ASSIGNMENT;
    CREATE TEMPORARY TABLE bait (id pg_temp.evil, tenant_id pg_temp.evil);
"""
BAIT_TRIGGERS = {
    "webhook_events_arrived": "CREATE TRIGGER t AFTER INSERT ON bait"
    " REFERENCING NEW TABLE AS arrived"
    " FOR EACH STATEMENT EXECUTE FUNCTION public.webhook_events_arrived()",
} | {
    function: f"CREATE TRIGGER t AFTER INSERT ON bait FOR EACH ROW"
    f" EXECUTE FUNCTION public.{function}()"
    for function in (
        "webhook_deletion_replicated",
        "webhook_event_replicated",
        "webhook_keep_history",
        "webhook_paused_by_person",
        "webhook_subscription_changed",
    )
}
TRIGGER_FUNCTIONS = sorted(f"{each}()" for each in BAIT_TRIGGERS)
PARTITION_FUNCTIONS = (
    "webhook_add_history_partition(integer)",
    "webhook_drop_history_partition(interval)",
)
HISTORY = "SELECT partition, ends - begins FROM webhook_history_partitions() ORDER BY begins"
BITE = "INSERT INTO bait VALUES ('x', 'x')"


@pytest.mark.parametrize("function", BAIT_TRIGGERS)
async def test_no_table_of_another_role_can_use_a_function_that_runs_as_its_owner(
    app: Application, role: asyncpg.Connection, function: str
) -> None:
    await role.execute(BAIT)

    with pytest.raises(asyncpg.InsufficientPrivilegeError, match=f"for function .*{function}"):
        await role.execute(BAIT_TRIGGERS[function])


async def test_default_privileges_give_nobody_a_function_that_runs_as_its_owner(
    empty_database: str,
) -> None:
    async with connected_as_other_role(empty_database) as role:
        name = await name_of(role)
        owner = await asyncpg.connect(empty_database)
        await owner.execute(
            f"ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO {name} WITH GRANT OPTION"
        )
        await migrations.migrate(empty_database)

        assert await function_rights.executors(owner) == []
        await owner.close()


async def test_a_database_of_an_earlier_version_is_closed_by_its_migration(
    empty_database: str,
) -> None:
    owner = await asyncpg.connect(empty_database)
    [closing] = [each for each in migrations.known() if each.name.endswith("_function_rights")]
    for migration in migrations.known():
        if migration.name < closing.name:
            await owner.execute(migration.sql)
    async with connected_as_other_role(empty_database) as role:
        name = await name_of(role)
        await owner.execute(
            f"GRANT INSERT ON webhook_events TO {name}; CREATE SCHEMA s AUTHORIZATION {name}"
        )
        await role.execute(BAIT + BAIT_TRIGGERS["webhook_events_arrived"])
        await role.execute(
            "CREATE TABLE s.kept (id uuid, tenant_id uuid);"
            + BAIT_TRIGGERS["webhook_events_arrived"].replace("ON bait", "ON s.kept")
        )

        await migrations.migrate(empty_database)

        for statement in (BITE, "INSERT INTO s.kept VALUES (gen_random_uuid(), gen_random_uuid())"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only for the table"):
                await role.execute(statement)
        event = uuid4()
        await role.execute(PUBLISH, event, uuid4())
        assert await owner.fetch("SELECT event_id FROM webhook_event_inbox") == [(event,)]
        assert ForeignTrigger("t", "s.kept", "webhook_events_arrived()") in (
            await function_rights.foreign_triggers(owner)
        )
    await owner.close()


async def test_who_may_execute_such_a_function_is_found(
    app: Application, role: asyncpg.Connection
) -> None:
    name = await name_of(role)
    assert await function_rights.executors(app.db) == []
    await app.db.execute(f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO PUBLIC, {name}")

    assert await function_rights.executors(app.db) == [
        Executor(function, each)
        for function in sorted((*PARTITION_FUNCTIONS, *TRIGGER_FUNCTIONS))
        for each in ("PUBLIC", name)
    ]


async def test_a_daemon_s_role_may_make_and_drop_partitions_and_nothing_else_as_the_owner(
    app: Application, role: asyncpg.Connection
) -> None:
    name = await name_of(role)
    await app.db.execute(
        f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA public TO {name};"
        f" GRANT DELETE ON webhook_deliveries TO {name}"
    )
    every_function = sorted((*PARTITION_FUNCTIONS, *TRIGGER_FUNCTIONS))
    assert await function_rights.executors(app.db) == [
        Executor(each, name) for each in every_function
    ]

    await app.db.execute(f"GRANT UPDATE ON webhook_event_inbox TO {name}")

    assert await function_rights.executors(app.db) == [
        Executor(each, name) for each in TRIGGER_FUNCTIONS
    ]


@pytest.mark.parametrize("days", [-(2**31), 2**31 - 1])
async def test_no_partition_is_made_that_could_never_be_dropped(
    app: Application, days: int
) -> None:
    names = [row[0] for row in await app.db.fetch(HISTORY)]
    await app.db.execute(f"DROP TABLE {names[-1]}")

    made = await app.db.fetchval("SELECT webhook_add_history_partition($1)", days)

    [length] = [row[1] for row in await app.db.fetch(HISTORY) if row[0] == made]
    assert 1 <= length <= 400


@pytest.mark.parametrize("function", BAIT_TRIGGERS)
async def test_a_trigger_that_exists_already_on_another_table_runs_nothing_as_the_owner(
    app: Application, role: asyncpg.Connection, function: str
) -> None:
    await app.db.execute(f"GRANT EXECUTE ON FUNCTION {function}() TO PUBLIC")
    await role.execute(BAIT)
    await role.execute(BAIT_TRIGGERS[function])

    with pytest.raises(asyncpg.InsufficientPrivilegeError, match="only for the table"):
        await role.execute(BITE)
    assert not await is_superuser(role)
