"""What a webhook was before each change is kept, bounded, by whichever role it is made."""

from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from daemon.core.matching.compiler import UnusableFilter, compile_subscription
from daemon.core.model.ids import TenantId, WebhookId
from daemon.store import webhook_history
from daemon.store.migrations import known, migrate
from tests.support.application import Application
from tests.support.roles import connected_as_other_role, name_of

FILTERS = {"filters": {"a": 1}}
NESTED = "{{a,b},{c,NULL}}"
FOREIGN_TRIGGER = """
    CREATE TEMPORARY TABLE t (id uuid);
    CREATE TRIGGER t AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION webhook_keep_history()
"""


async def versions(app: Application, tenant: UUID, webhook: UUID) -> list[Any]:
    found = await webhook_history.get(app.db, TenantId(tenant), WebhookId(webhook))
    assert found is not None
    return list(found.versions)


async def change(app: Application, webhook: UUID, settings: str) -> None:
    await app.db.execute(f"UPDATE webhooks SET {settings} WHERE id = $1", webhook)


async def test_each_real_change_ends_a_version_and_all_of_them_follow_one_another(
    app: Application, tenant: UUID
) -> None:
    webhook = await app.webhook(tenant, "https://a.example", types=["a.b"], filters=FILTERS)
    created_at = (await app.health(webhook))["created_at"]
    for settings in (
        "name = 'other', consecutive_failures = 3, is_active = is_active",
        "event_filters = event_filters, event_types = event_types",
        "is_active = false, paused_reason = 'failures', event_types = '{a.c}'",
        "event_filters = NULL",
        "is_active = true",
    ):
        await change(app, webhook, settings)

    found = await versions(app, tenant, webhook)

    assert [(v.is_active, v.paused_reason, v.event_types, v.event_filters) for v in found] == [
        (True, None, ("a.b",), '{"filters": {"a": 1}}'),
        (False, "failures", ("a.c",), '{"filters": {"a": 1}}'),
        (False, "failures", ("a.c",), None),
        (True, None, ("a.c",), None),
    ]
    assert [v.since for v in found] == [created_at, *(v.until for v in found[:-1])]
    assert found[-1].until is None


async def test_a_deleted_webhook_is_known_to_its_tenant_alone(
    app: Application, tenant: UUID
) -> None:
    webhook = await app.webhook(tenant, "https://a.example", types=["a.b"])
    await app.db.execute("DELETE FROM webhooks WHERE id = $1", webhook)

    [version] = await versions(app, tenant, webhook)

    assert (version.deleted, version.event_types) == (True, ("a.b",))
    other = TenantId(await app.tenant())
    assert await webhook_history.get(app.db, other, WebhookId(webhook)) is None
    assert await webhook_history.deleted_ids(app.db, TenantId(tenant), limit=5) == [webhook]
    assert await webhook_history.deleted_ids(app.db, other, limit=5) == []


async def test_a_webhook_that_is_changed_all_day_long_keeps_its_latest_versions(
    app: Application, tenant: UUID
) -> None:
    busy, large, quiet = [await app.webhook(tenant, "https://a.example") for _ in range(3)]
    await change(app, quiet, "is_active = false")
    await app.db.execute(
        "DO $$ BEGIN FOR n IN 1..2000 LOOP UPDATE webhooks SET is_active = NOT is_active"
        f" WHERE id = '{busy}'; END LOOP; END $$"
    )
    for n in range(60):  # random, so that it does not compress
        await app.db.execute(
            "UPDATE webhooks SET event_filters = jsonb_build_object('filters', (SELECT"
            " jsonb_object_agg(gen_random_uuid(), $2::int) FROM generate_series(1, 300)))"
            " WHERE id = $1",
            large,
            n,
        )

    kept = await versions(app, tenant, busy)
    assert len(kept) == 101  # with the present one
    assert all(a.until == b.since for a, b in pairwise(kept))
    of_large = await versions(app, tenant, large)
    assert 15 < len(of_large) < 60
    size = "SELECT sum(pg_column_size(event_filters)) FROM webhook_history WHERE webhook_id = $1"
    assert await app.db.fetchval(size, large) <= 262144
    assert len(await versions(app, tenant, quiet)) == 2


async def test_what_is_too_large_to_be_a_filter_is_as_unusable_in_the_past_as_now(
    app: Application, tenant: UUID
) -> None:
    odd = {
        "event_filters": "jsonb_build_object('filters', jsonb_build_object('a', repeat('x', $2)))",
        "event_types": "array_fill('email.opened'::text, ARRAY[$2::int])",
    }
    for column, value in odd.items():
        webhook = await app.webhook(tenant, "https://a.example")
        await app.db.execute(
            f"UPDATE webhooks SET {column} = {value} WHERE id = $1", webhook, 20_000_000 // 20
        )
        await change(app, webhook, f"{column} = NULL")
        [_, former, _] = await versions(app, tenant, webhook)

        compiled = compile_subscription(former.event_types, former.event_filters)
        assert isinstance(compiled, UnusableFilter)
    for value in ("'1e131071'", "'[1e-16000]'", "(repeat('[', 6000) || repeat(']', 6000))::jsonb"):
        webhook = await app.webhook(tenant, "https://a.example")
        await change(app, webhook, f"event_filters = {value}, event_types = '{NESTED}'")
        await change(app, webhook, "is_active = false")
        [_, former, _] = await versions(app, tenant, webhook)
        assert isinstance(
            compile_subscription(former.event_types, former.event_filters), UnusableFilter
        )
    size = await app.db.fetchval("SELECT max(octet_length(event_filters)) FROM webhook_history")
    assert size <= 65536


async def test_the_application_needs_no_right_on_the_history_and_cannot_use_its_function(
    app: Application, database: str, tenant: UUID
) -> None:
    webhook = await app.webhook(tenant, "https://a.example")
    async with connected_as_other_role(database) as role:
        await app.db.execute(f"GRANT SELECT, UPDATE ON webhooks TO {await name_of(role)}")
        await role.execute("UPDATE webhooks SET is_active = false")

        assert len(await versions(app, tenant, webhook)) == 2
        for statement in (
            "SELECT * FROM webhook_history",
            FOREIGN_TRIGGER,
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await role.execute(statement)


async def test_no_lock_on_the_history_keeps_a_webhook_from_being_changed(
    app: Application, database: str, tenant: UUID
) -> None:
    webhook = await app.webhook(tenant, "https://a.example")
    await app.db.execute(
        "DO $$ BEGIN FOR n IN 1..100 LOOP UPDATE webhooks SET is_active = NOT is_active; END LOOP;"
        " END $$"
    )
    other = await asyncpg.connect(database)
    async with other.transaction():
        await other.execute("SELECT FROM webhook_history FOR UPDATE")
        await app.db.execute("SET lock_timeout = '1ms'")
        await change(app, webhook, "is_active = false")
    await other.close()

    assert len(await versions(app, tenant, webhook)) == 102


async def test_versions_of_before_the_history_are_what_the_webhook_was_found_as(
    app: Application, empty_database: str
) -> None:
    connection = await asyncpg.connect(empty_database)
    for migration in known():
        if migration.name < "0017":
            await connection.execute(migration.sql)
    old = Application(connection)
    tenant = await old.tenant()
    active, paused = [await old.webhook(tenant, "https://a.example") for _ in range(2)]
    await change(old, paused, "is_active = false, paused_reason = 'gone'")
    paused_at = (await old.health(paused))["paused_at"]

    await migrate(empty_database)
    [present] = await versions(old, tenant, active)
    before, since = await versions(old, tenant, paused)
    await change(old, active, "is_active = false")
    first, _ = await versions(old, tenant, active)

    assert (present.since, present.until, first.since) == (None, None, None)
    assert (before.is_active, before.since, before.until) == (True, None, paused_at)
    assert (since.is_active, since.since, since.paused_by) == (False, paused_at, "gone")
    await connection.close()


async def test_no_plan_reads_other_webhooks_histories(app: Application, tenant: UUID) -> None:
    webhook = await app.webhook(tenant, "https://a.example")
    await app.db.execute("ANALYZE webhook_history")  # while it is empty
    await change(app, webhook, "is_active = false")
    await app.db.execute(
        "INSERT INTO webhook_history (webhook_id, tenant_id, until, is_active, deleted)"
        " SELECT gen_random_uuid(), $1, now() + n * interval '1 s', true, false"
        " FROM generate_series(1, 50000) AS n",
        tenant,
    )
    plan = await app.db.fetch(
        f"EXPLAIN (ANALYZE) {webhook_history.LIST_VERSIONS}".replace("$1", f"'{{{webhook}}}'")
        .replace("$2", f"'{tenant}'::uuid")
        .replace("$3", "101")
    )

    text = "\n".join(row[0] for row in plan)
    assert "webhook_history_of_webhook" in text
    assert "Rows Removed" not in text


async def test_expired_versions_are_pruned_and_a_tenant_s_are_erased(app: Application) -> None:
    tenants = [TenantId(await app.tenant()) for _ in range(2)]
    for each in tenants:
        await app.db.execute(
            "INSERT INTO webhook_history (webhook_id, tenant_id, until, is_active, deleted)"
            " SELECT $2, $1, now() - n * interval '10 days', true, false"
            " FROM generate_series(1, 6) AS n",
            each,
            uuid4(),
        )

    pruned = await webhook_history.delete_expired(app.db, older_than=timedelta(days=35), limit=100)
    step = await webhook_history.erase(app.db, tenants[0], limit=2)
    last = await webhook_history.erase(app.db, tenants[0], limit=2)

    assert (pruned, step.erased.versions, step.remaining) == (6, 2, 1)
    assert (last.erased.versions, last.remaining) == (1, 0)
    assert (await webhook_history.count(app.db, tenants[1])).versions == 3
