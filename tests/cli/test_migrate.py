"""`webhookd migrate`: what it applies and converts, and what it says of it."""

from pathlib import Path

import asyncpg
import pytest

from daemon.store import migrations, partitioning
from daemon.store.partitioning import Layout
from tests.support import specification
from tests.support.catalog import catalog
from tests.support.checked import checked
from tests.support.commandline import CompletedCommand, running, webhookd
from tests.support.layouts import (
    migrate_before,
    migrate_before_partitions,
    stored_before_partitions,
)
from tests.support.roles import connected_as_other_role, name_of

VIEW = "CREATE VIEW failures AS SELECT id FROM webhook_deliveries"
OBSTACLE = "webhook_deliveries stays one table: rule _RETURN on view failures depends on it"


async def migrate(folder: Path, url: str, *options: str) -> list[str]:
    """The lines that the command prints; it succeeds."""
    ended: CompletedCommand = await webhookd(
        "migrate", *options, folder=folder, env={"DATABASE_URL": url}
    )
    assert (ended.code, ended.err) == (0, "")
    return ended.out.splitlines()


async def test_a_new_database_is_partitioned_by_the_files_alone(
    tmp_path: Path, empty_database: str
) -> None:
    names = [each.name for each in migrations.known()]

    assert await migrate(tmp_path, empty_database, "--dry-run") == [f"missing {n}" for n in names]
    assert await migrate(tmp_path, empty_database) == [f"applied {n}" for n in names]
    assert await migrate(tmp_path, empty_database) == ["the schema is up to date"]


async def test_a_table_in_use_is_converted_after_the_files(
    tmp_path: Path, empty_database: str
) -> None:
    await migrate_before_partitions(empty_database)
    await stored_before_partitions(empty_database)
    await migrations.migrate(empty_database)

    assert await migrate(tmp_path, empty_database, "--dry-run") == [
        "unconverted webhook_deliveries: will become partitions"
    ]
    _, messages = await checked(tmp_path, empty_database)
    assert messages["ok"][2].endswith(
        "webhook_deliveries is one table: `webhookd migrate` converts it to partitions"
    )
    assert await migrate(tmp_path, empty_database) == ["converted webhook_deliveries to partitions"]
    assert await migrate(tmp_path, empty_database) == ["the schema is up to date"]


async def test_daemons_that_have_to_stop_before_the_next_one_starts_are_named(
    tmp_path: Path, empty_database: str
) -> None:
    await migrate_before(empty_database, "0006_inbox_leases")

    foreseen = await migrate(tmp_path, empty_database, "--dry-run")
    lines = await migrate(tmp_path, empty_database)

    assert foreseen[-1] == lines[-1]
    assert lines[-1].startswith("stop the daemons of before 0006_inbox_leases before you start")


@pytest.mark.full
async def test_a_table_that_stays_as_it_is_is_named_with_the_reason(
    tmp_path: Path, empty_database: str
) -> None:
    await migrate_before_partitions(empty_database)
    connection = await asyncpg.connect(empty_database)
    await connection.execute(VIEW)

    lines = await migrate(tmp_path, empty_database)

    assert lines[-1] == OBSTACLE
    assert await migrate(tmp_path, empty_database, "--dry-run") == [OBSTACLE]
    _, messages = await checked(tmp_path, empty_database)
    assert messages["ok"][2].endswith("one table: rule _RETURN on view failures depends on it")
    assert await partitioning.layout(connection) is Layout.PLAIN
    await connection.close()


TEMPORARY = (
    "CREATE TEMPORARY VIEW mine AS SELECT 1 FROM {0};"
    " CREATE FUNCTION pg_temp.mine({0}) RETURNS int RETURN 1"
)


@pytest.mark.full
async def test_what_any_role_may_make_of_the_table_keeps_nothing_from_being_converted(
    tmp_path: Path, empty_database: str
) -> None:
    await migrate_before_partitions(empty_database)
    await stored_before_partitions(empty_database)
    await migrations.migrate(empty_database)
    owner = await asyncpg.connect(empty_database)
    async with connected_as_other_role(empty_database) as other:
        await other.execute(TEMPORARY.format("webhook_deliveries"))
        converted = await migrate(tmp_path, empty_database)
        await owner.execute("DELETE FROM webhook_deliveries")
        [stays] = await migrate(tmp_path, empty_database)
        _, messages = await checked(tmp_path, empty_database)
        role = await name_of(other)
    dropped = await migrate(tmp_path, empty_database)

    assert converted == dropped == ["converted webhook_deliveries to partitions"]
    assert stays.startswith("webhook_deliveries_legacy stays: function pg_temp_")
    assert stays.count(f"of role {role} depends on it") == 2
    assert "webhook_deliveries_legacy is empty and stays: function" in messages["ok"][2]
    assert await partitioning.layout(owner) is Layout.PARTITIONED
    await owner.close()


async def test_a_migration_that_waits_says_for_whom_while_the_application_goes_on(
    tmp_path: Path, empty_database: str
) -> None:
    await migrate_before_partitions(empty_database)
    application = await asyncpg.connect(empty_database)
    tenant = await application.fetchval("INSERT INTO tenants DEFAULT VALUES RETURNING id")
    reader = await asyncpg.connect(empty_database, server_settings={"application_name": "report"})
    await reader.execute("BEGIN; SELECT FROM webhooks; SELECT FROM webhook_events")
    env = {"DATABASE_URL": empty_database, "WEBHOOKD_LOG__FORMAT": "json"}

    async with running("migrate", folder=tmp_path, env=env) as migrating:
        line = await migrating.line(lambda line: "migration.waiting" in line, err=True)
        await application.execute(
            "INSERT INTO webhook_events (id, tenant_id, event_type, event_data)"
            " VALUES (gen_random_uuid(), $1, 'email.sent', '{}')",
            tenant,
        )
        is_waiting = migrating.process.returncode is None
        await reader.execute("COMMIT")
        code = await migrating.wait()

    pid = reader.get_server_pid()
    assert f"pid {pid} (role {await name_of(reader)}, application report, query of" in line
    assert (is_waiting, code) == (True, 0)
    for each in (application, reader):
        await each.close()


async def test_tables_of_the_application_are_shown_before_they_are_taken_over_once(
    tmp_path: Path, empty_database: str
) -> None:
    connection = await asyncpg.connect(empty_database)
    await specification.create_tables(connection)
    await specification.fill(connection, events=1, deliveries=100)
    env = {"DATABASE_URL": empty_database}
    before = await catalog(empty_database)

    shown = await migrate(tmp_path, empty_database, "--dry-run", "--send-pending")
    unknown = await webhookd("migrate", "--time-zone", "Nowhere", folder=tmp_path, env=env)
    await connection.execute("CREATE TABLE webhook_audit ()")
    refused = await webhookd("migrate", "--dry-run", folder=tmp_path, env=env)
    await connection.execute("DROP TABLE webhook_audit")
    unchanged = await catalog(empty_database)
    done = await migrate(tmp_path, empty_database, "--send-pending")
    again = await migrate(tmp_path, empty_database, "--dry-run")

    assert [line.split(",")[0] for line in shown if not line.startswith(("  ", "missing"))] == [
        "adopts webhooks: 1 row",
        "adopts webhook_events: 1 row",
        "adopts webhook_deliveries: 100 rows",
    ]
    assert "  history, except for what is pending: 1 row, to be sent" in shown
    assert (unknown.code, refused.code) == (2, 1)
    assert "PostgreSQL knows no time zone Nowhere" in unknown.err
    assert refused.out.startswith("cannot adopt: there is a table webhook_audit already")
    assert unchanged == before
    assert "history, not sent: events: 1, pending deliveries: 0" in done
    assert again == ["the schema is up to date"]
    await connection.close()
