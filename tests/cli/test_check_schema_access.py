"""`webhookd check`: who else may create what the daemon's SQL would call."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from tests.support.application import Application
from tests.support.checked import checked
from tests.support.squatters import squatted


@pytest.fixture
async def role(app: Application) -> AsyncIterator[str]:
    name = f"other_{uuid4().hex[:8]}"
    await app.db.execute(f"CREATE ROLE {name}")
    yield name
    await app.db.execute(f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")


async def permissions(folder: Path, database: str, status: str) -> list[str]:
    _, messages = await checked(folder, database)
    return [each for each in messages[status] if each.startswith("permissions: ")]


async def test_a_schema_in_which_only_its_owner_may_create_is_as_it_should_be(
    tmp_path: Path, database: str, app: Application
) -> None:
    assert await permissions(tmp_path, database, "warning") == []


async def test_roles_that_may_create_beside_the_tables_are_named_with_the_remedy(
    tmp_path: Path, database: str, app: Application, role: str
) -> None:
    await app.db.execute(f"GRANT CREATE ON SCHEMA public TO PUBLIC, {role}")
    warnings = await permissions(tmp_path, database, "warning")
    for each in warnings:
        await app.db.execute(re.search("REVOKE .*", each)[0])  # type: ignore[index]

    assert [each.split()[1] for each in warnings] == ["PUBLIC", role]
    assert warnings[0].endswith(": REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    assert await permissions(tmp_path, database, "warning") == []


async def test_roles_that_may_attach_functions_to_a_table_are_named_with_the_remedy(
    tmp_path: Path, database: str, app: Application, role: str
) -> None:
    await app.db.execute(
        f"GRANT ALL ON webhooks TO {role}; GRANT TRIGGER ON webhook_audit TO PUBLIC"
    )
    warnings = await permissions(tmp_path, database, "warning")
    for each in warnings:
        await app.db.execute(re.search("REVOKE .*", each)[0])  # type: ignore[index]

    assert [each.split(": ")[-1] for each in warnings] == [
        "REVOKE TRIGGER ON webhook_audit FROM PUBLIC",
        f"REVOKE REFERENCES ON webhooks FROM {role}",
        f"REVOKE TRIGGER ON webhooks FROM {role}",
    ]
    assert await permissions(tmp_path, database, "warning") == []


async def test_a_superuser_is_warned_of_owners_whose_triggers_would_have_its_rights(
    tmp_path: Path, database: str, app: Application, role: str
) -> None:
    await app.db.execute(f"ALTER TABLE webhook_events OWNER TO {role}")
    warnings = await permissions(tmp_path, database, "warning")
    await app.db.execute("ALTER TABLE webhook_events OWNER TO CURRENT_USER")

    [warning] = warnings
    assert warning.startswith(f"permissions: tables belong to {role}, and this role is a superuser")


async def test_a_foreign_key_to_a_table_of_another_role_is_named_with_two_remedies(
    tmp_path: Path, database: str, app: Application, role: str
) -> None:
    key = "webhooks_tenant_id_fkey"
    for remedy in ("ALTER TABLE tenants OWNER TO .*(?=, and)", "ALTER TABLE webhooks DROP.*"):
        await app.db.execute(f"ALTER TABLE tenants OWNER TO {role}")
        [warning] = await permissions(tmp_path, database, "warning")
        await app.db.execute(re.search(remedy, warning)[0])  # type: ignore[index]

        assert warning.startswith(f"permissions: tenants belongs to {role}, and PostgreSQL")
        assert f"the foreign key {key} of webhooks in sessions of the daemon" in warning
        assert await permissions(tmp_path, database, "warning") == []
    await app.db.execute("ALTER TABLE tenants OWNER TO CURRENT_USER")


async def test_a_table_of_another_role_that_refers_to_ours_is_named_likewise(
    tmp_path: Path, database: str, app: Application, role: str
) -> None:
    await app.db.execute(
        "CREATE TABLE campaigns (webhook_id uuid REFERENCES webhooks ON DELETE CASCADE);"
        f"ALTER TABLE campaigns OWNER TO {role}"
    )
    [warning] = await permissions(tmp_path, database, "warning")

    assert warning.startswith(f"permissions: campaigns belongs to {role}, and PostgreSQL")
    assert warning.endswith("ALTER TABLE campaigns DROP CONSTRAINT campaigns_webhook_id_fkey")


async def test_what_the_former_owner_attached_to_tenants_is_an_error(
    tmp_path: Path, database: str, app: Application, role: str
) -> None:
    await app.db.execute(
        f"CREATE SCHEMA others AUTHORIZATION {role}; SET ROLE {role};"
        " CREATE FUNCTION others.x() RETURNS text IMMUTABLE LANGUAGE sql RETURN 'x'; RESET ROLE;"
        " CREATE STATISTICS attached ON (others.x() || name), name FROM tenants"
    )
    [found] = await permissions(tmp_path, database, "error")
    await app.db.execute("DROP STATISTICS attached")

    assert found.startswith("permissions: statistics attached of the table tenants uses others.x()")
    assert await permissions(tmp_path, database, "error") == []


async def test_the_daemon_s_own_role_and_the_owner_are_not_warned_about(
    tmp_path: Path, database: str, app: Application, role: str
) -> None:
    await app.db.execute(f"GRANT CREATE ON SCHEMA public TO {role}")
    own = f"daemon_{uuid4().hex[:8]}"
    await app.db.execute(
        f"CREATE ROLE {own} LOGIN PASSWORD 'x'; GRANT CREATE, USAGE ON SCHEMA public TO {own};"
        f" GRANT ALL ON ALL TABLES IN SCHEMA public TO {own};"
        f" ALTER TABLE webhook_event_inbox OWNER TO {role}"
    )
    try:
        url = re.sub("//[^@]*@", f"//{own}:x@", database)
        warnings = await permissions(tmp_path, url, "warning")
        await app.db.execute("ALTER TABLE webhook_event_inbox OWNER TO CURRENT_USER")
    finally:
        await app.db.execute(f"DROP OWNED BY {own}; DROP ROLE {own}")

    assert warnings == []


async def test_overloads_of_another_role_are_errors_with_the_statements_that_drop_them(
    tmp_path: Path, database: str, app: Application, role: str
) -> None:
    await app.db.execute(
        f"GRANT CREATE ON SCHEMA public TO {role}; SET ROLE {role};"
        " CREATE FUNCTION unnest(uuid[]) RETURNS uuid LANGUAGE sql RETURN $1[1];"
        " CREATE FUNCTION webhook_payload_bytes(text, text) RETURNS text LANGUAGE sql RETURN $1;"
        " CREATE FUNCTION same(varchar, varchar) RETURNS boolean LANGUAGE sql RETURN true;"
        " CREATE OPERATOR = (FUNCTION = same, LEFTARG = varchar, RIGHTARG = varchar);"
        f" RESET ROLE; REVOKE CREATE ON SCHEMA public FROM {role}"
    )
    errors = await permissions(tmp_path, database, "error")
    for each in errors:
        await app.db.execute(re.search("DROP .*", each)[0])  # type: ignore[index]

    assert [each.split(": ")[-1] for each in errors] == [
        "DROP FUNCTION unnest(uuid[])",
        "DROP FUNCTION webhook_payload_bytes(text,text)",
        "DROP OPERATOR =(character varying,character varying)",
    ]
    assert await permissions(tmp_path, database, "error") == []


async def test_the_functions_of_an_extension_that_a_superuser_installed_are_no_error(
    tmp_path: Path, database: str, app: Application
) -> None:
    try:
        await app.db.execute("CREATE EXTENSION citext")
    except asyncpg.FeatureNotSupportedError:
        pytest.skip("this PostgreSQL has no extensions")

    assert await permissions(tmp_path, database, "error") == []


async def test_who_could_use_a_function_that_runs_as_its_owner_is_named_with_the_remedy(
    tmp_path: Path, database: str, app: Application, role: str
) -> None:
    await app.db.execute(
        f"GRANT EXECUTE ON FUNCTION webhook_events_arrived() TO PUBLIC, {role};"
        " CREATE TABLE other (id uuid, tenant_id uuid);"
        ' CREATE TRIGGER "an other" AFTER INSERT ON other FOR EACH ROW'
        " EXECUTE FUNCTION webhook_subscription_changed()"
    )
    errors = await permissions(tmp_path, database, "error")
    for each in errors:
        await app.db.execute(re.search("(REVOKE|DROP) .*", each)[0])  # type: ignore[index]

    assert [each.split(": ")[-1] for each in errors] == [
        "REVOKE ALL ON FUNCTION webhook_events_arrived() FROM PUBLIC CASCADE",
        f"REVOKE ALL ON FUNCTION webhook_events_arrived() FROM {role} CASCADE",
        'DROP TRIGGER "an other" ON other',
    ]
    assert await permissions(tmp_path, database, "error") == []


async def test_what_of_another_role_a_table_would_run_is_an_error(
    tmp_path: Path, database: str, app: Application, role: str
) -> None:
    await app.db.execute(
        f"CREATE SCHEMA others AUTHORIZATION {role}; SET ROLE {role};"
        " CREATE FUNCTION others.noted() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RETURN NULL; END $$; RESET ROLE;"
        ' CREATE TRIGGER "a note" AFTER INSERT ON webhooks FOR EACH ROW'
        " EXECUTE FUNCTION others.noted()"
    )

    [found] = await permissions(tmp_path, database, "error")

    assert found.startswith(
        'permissions: trigger "a note" of the table webhooks uses others.noted() of role other_'
    )


async def test_a_table_of_another_role_is_named_and_no_row_of_it_is_read(
    tmp_path: Path, empty_database: str
) -> None:
    async with squatted(empty_database) as scene:
        await scene.squatter.execute(
            "CREATE VIEW webhookd_migrations AS SELECT hostile() AS name, NULL AS sha256;"
            " GRANT ALL ON webhookd_migrations TO PUBLIC"
        )
        for url in (scene.owner, scene.superuser):
            code, messages = await checked(tmp_path, url)
            assert code == 1
            [found] = messages["error"]
            assert found.startswith("schema: webhookd_migrations of role other_")

        assert not await scene.calls()
