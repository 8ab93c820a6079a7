"""A daemon says once whose code can take its rights: as a superuser, and by foreign keys."""

import secrets
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from daemon.maintenance.schema_watch import SchemaWatch
from daemon.store.database import Database
from tests.support.application import Application

WARNING = "schema.superuser_on_tables_of_others"


@pytest.fixture
async def watch(database: str) -> AsyncIterator[SchemaWatch]:
    pool = Database(database, size=1)
    await pool.open()
    yield SchemaWatch(pool)
    await pool.close(within=timedelta(seconds=1))


async def test_a_superuser_on_tables_of_a_role_that_is_none_warns_once(
    app: Application, watch: SchemaWatch
) -> None:
    role = f"owner_{secrets.token_hex(4)}"
    await app.db.execute(f"CREATE ROLE {role}; ALTER TABLE webhook_events OWNER TO {role}")
    try:
        with capture_logs() as logs:
            await watch.run_once()
            await watch.run_once()
    finally:
        await app.db.execute(f"ALTER TABLE webhook_events OWNER TO CURRENT_USER; DROP ROLE {role}")

    assert [each["owners"] for each in logs if each["event"] == WARNING] == [[role]]
    assert watch.error is None


async def test_a_foreign_key_to_a_table_of_another_role_is_warned_of_once(
    app: Application, watch: SchemaWatch
) -> None:
    role = f"owner_{secrets.token_hex(4)}"
    await app.db.execute(f"CREATE ROLE {role}; ALTER TABLE tenants OWNER TO {role}")
    try:
        with capture_logs() as logs:
            await watch.run_once()
            await watch.run_once()
    finally:
        await app.db.execute(f"ALTER TABLE tenants OWNER TO CURRENT_USER; DROP ROLE {role}")

    [line] = [each for each in logs if each["event"] == "schema.foreign_keys_to_tables_of_others"]
    assert (line["owners"], line["keys"]) == ([role], ["webhooks.webhooks_tenant_id_fkey"])
    assert watch.error is None


async def test_a_superuser_on_tables_of_its_own_warns_of_nothing(watch: SchemaWatch) -> None:
    with capture_logs() as logs:
        await watch.run_once()

    assert logs == []
