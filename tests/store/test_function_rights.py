"""The application's role can publish events, and run nothing as another role."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from daemon.store import privileges
from tests.support.application import Application

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
    name = f"application_{uuid4().hex}"
    await app.db.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
    await app.db.execute(f"GRANT INSERT ON webhook_events TO {name}")
    url = urlsplit(database)
    connection = await asyncpg.connect(
        host=url.hostname, port=url.port, user=name, password="secret", database=url.path[1:]
    )
    yield connection
    await connection.close()
    await app.db.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


async def is_superuser(connection: asyncpg.Connection) -> bool:
    return bool(
        await connection.fetchval("SELECT rolsuper FROM pg_roles WHERE rolname = session_user")
    )


async def test_the_application_role_can_publish(app: Application, role: asyncpg.Connection) -> None:
    event = uuid4()
    await role.execute(PUBLISH, event, uuid4())

    assert await app.db.fetchval("SELECT event_id FROM webhook_event_inbox") == event


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
    await app.db.execute(
        "DO $$ BEGIN EXECUTE (SELECT format('ALTER ROLE %I NOSUPERUSER', rolname) FROM pg_roles"
        " WHERE rolname LIKE 'application\\_%' AND rolsuper); END $$"
    )


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
            "webhook_delivery_due_now",
            "webhook_delivery_of_application",
            "webhook_due",
            "webhook_events_arrived",
            "webhook_exploded_bytes",
            "webhook_paused",
            "webhook_subscription_changed",
            "webhooks_end_of_spacing",
            "webhooks_fresh_start",
            "webhooks_secret_written",
        )
    }
