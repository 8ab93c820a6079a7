"""Which rows the retention loop deletes and which it keeps."""

from uuid import UUID, uuid4

import asyncpg
import pytest

from daemon.store import expired_events
from tests.support.aged_rows import (
    OLD,
    YOUNG,
    count_in,
    ids_in,
    many_deliveries,
    stored_delivery,
    stored_event,
    stored_key,
    stored_link,
    stored_notice,
    stored_records,
    stored_replay,
    stored_session,
    stored_token,
)
from tests.support.application import Application
from tests.support.retention import prune


async def test_finished_deliveries_are_deleted_once_they_expire(
    app: Application, database: str, webhook: UUID
) -> None:
    other = await app.webhook(await app.tenant(), "https://example.com")
    young = {
        await stored_delivery(app, each, status=status, at=YOUNG)
        for each in (webhook, other)
        for status in ("success", "failed")
    }
    for each in (webhook, other):
        await stored_delivery(app, each, status="success")
        await stored_delivery(app, each, status="failed")

    await prune(database)

    assert await ids_in(app, "webhook_deliveries") == young


async def test_deliveries_that_are_pending_or_leased_are_kept_at_any_age(
    app: Application, database: str, webhook: UUID
) -> None:
    event_id = uuid4()
    await stored_delivery(app, webhook, event_id=event_id, status="failed", attempt_number=1)
    pending = await stored_delivery(
        app, webhook, event_id=event_id, status="pending_retry", attempt_number=2
    )
    odd = await stored_delivery(app, webhook, status="custom")
    leased = await stored_delivery(app, webhook, status="failed")
    await app.db.execute(
        "UPDATE webhook_deliveries SET leased_until = now() + '1 minute' WHERE id = $1", leased
    )

    await prune(database)

    assert await ids_in(app, "webhook_deliveries") == {pending, odd, leased}


async def test_rows_without_a_time_are_kept_and_rows_of_any_past_time_are_deleted(
    app: Application, database: str, webhook: UUID
) -> None:
    tenant = await app.tenant()
    for time in ("'-infinity'", "'4000-01-01 BC'", "'0001-01-01'"):
        await stored_delivery(app, webhook, at=time)
        await stored_event(app, tenant, at=time)
    deliveries = {await stored_delivery(app, webhook, at=at) for at in ("NULL", "'infinity'")}
    events = {await stored_event(app, tenant, at=at) for at in ("NULL", "'infinity'")}

    await prune(database)

    assert await ids_in(app, "webhook_deliveries") == deliveries
    assert await ids_in(app, "webhook_events") == events


@pytest.mark.parametrize(
    "distance", ["0", "n * interval '1 second'"], ids=["same time", "different times"]
)
async def test_many_pending_deliveries_do_not_hide_expired_ones_after_them(
    app: Application, database: str, webhook: UUID, distance: str
) -> None:
    at = OLD if distance == "0" else f"{OLD} + {distance}"
    await many_deliveries(app, webhook, 5000, at=at, status="pending_retry")
    await stored_delivery(app, webhook, at=f"{OLD} + interval '2 hours'")

    await prune(database)

    assert await count_in(app, "webhook_deliveries WHERE status = 'success'") == 0
    assert await count_in(app, "webhook_deliveries") == 5000


async def test_thousands_of_deliveries_of_the_same_time_are_all_deleted(
    app: Application, database: str, webhook: UUID
) -> None:
    await many_deliveries(app, webhook, 6000)

    await prune(database)

    assert await count_in(app, "webhook_deliveries") == 0


@pytest.mark.parametrize("order", ["ASC", "DESC"], ids=["pending first", "pending last"])
async def test_only_finished_deliveries_of_the_same_time_are_deleted(
    app: Application, database: str, webhook: UUID, order: str
) -> None:
    await app.db.execute(
        "INSERT INTO webhook_deliveries (id, webhook_id, event_id, payload, status, attempted_at,"
        " event_created_at, next_retry_at)"
        " SELECT lpad(to_hex(n), 32, '0')::uuid, $1, gen_random_uuid(), '{}',"
        "        CASE WHEN n <= 1000 THEN 'pending_retry' ELSE 'success' END,"
        f"       {OLD}, now(), now() + interval '1 day'"
        f"  FROM generate_series(1, 2500) AS n ORDER BY n {order}",
        webhook,
    )

    await prune(database)

    assert await count_in(app, "webhook_deliveries WHERE status = 'success'") == 0
    assert await count_in(app, "webhook_deliveries") == 1000


async def test_thousands_of_webhooks_and_tenants_are_all_pruned(
    app: Application, database: str
) -> None:
    await app.db.execute(
        "INSERT INTO tenants (id) SELECT gen_random_uuid() FROM generate_series(1, 2500);"
        "INSERT INTO webhooks (tenant_id, name, endpoint_url, secret_key)"
        " SELECT id, 'x', 'https://example.com', 'x' FROM tenants;"
        "INSERT INTO webhook_deliveries (webhook_id, event_id, status, attempted_at)"
        f" SELECT id, gen_random_uuid(), 'success', {OLD} FROM webhooks;"
        "INSERT INTO webhook_events (id, tenant_id, created_at)"
        f" SELECT gen_random_uuid(), id, {OLD} FROM tenants;"
        "TRUNCATE webhook_event_inbox"
    )

    await prune(database)

    assert await count_in(app, "webhook_deliveries") == 0
    assert await count_in(app, "webhook_events") == 0


async def test_events_are_deleted_once_they_expire(app: Application, database: str) -> None:
    tenants = [await app.tenant() for _ in range(3)]
    young = {await stored_event(app, tenant, at=YOUNG) for tenant in tenants}
    for tenant in tenants:
        await stored_event(app, tenant)

    await prune(database)

    assert await ids_in(app, "webhook_events") == young


async def test_an_event_is_kept_until_it_is_fanned_out(app: Application, database: str) -> None:
    tenant = await app.tenant()
    waiting = await stored_event(app, tenant, waiting=True)
    await stored_event(app, tenant)

    await prune(database)
    before = await ids_in(app, "webhook_events")
    await app.db.execute("TRUNCATE webhook_event_inbox")
    await prune(database)

    assert before == {waiting}
    assert await ids_in(app, "webhook_events") == set()


async def test_events_are_kept_while_the_inbox_is_very_long(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    event = await stored_event(app, await app.tenant())
    await app.db.execute(
        "INSERT INTO webhook_event_inbox (event_id)"
        " SELECT gen_random_uuid() FROM generate_series(1, 30)"
    )
    monkeypatch.setattr(expired_events, "MOST_WAITING", 29)
    await prune(database)
    kept = await ids_in(app, "webhook_events")
    monkeypatch.setattr(expired_events, "MOST_WAITING", 30)
    await prune(database)

    assert kept == {event}
    assert await ids_in(app, "webhook_events") == set()


async def test_a_long_inbox_keeps_only_the_events_that_wait_in_it(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    for _ in range(3):
        await stored_event(app, tenant)
    waiting = {await stored_event(app, tenant, waiting=True) for _ in range(3)}
    await app.db.execute(
        "INSERT INTO webhook_event_inbox (event_id)"
        " SELECT gen_random_uuid() FROM generate_series(1, 20001)"
    )

    await prune(database)

    assert await ids_in(app, "webhook_events") == waiting


async def test_an_event_is_kept_while_a_pending_delivery_of_the_application_needs_it(
    app: Application, database: str, webhook: UUID
) -> None:
    tenant = await app.tenant()
    needed = [await stored_event(app, tenant) for _ in range(2)]
    copied = await stored_event(app, tenant)
    status = "pending_retry"
    await stored_delivery(
        app, webhook, event_id=needed[0], status=status, payload=None, event_created_at=None
    )
    await stored_delivery(app, webhook, event_id=needed[1], status=status, event_created_at=None)
    await stored_delivery(app, webhook, event_id=copied, status=status)

    await prune(database)
    before = await ids_in(app, "webhook_events")
    await app.db.execute("UPDATE webhook_deliveries SET status = 'success'")
    await prune(database)

    assert before == set(needed)
    assert await ids_in(app, "webhook_events") == set()


async def test_notices_and_finished_replays_are_deleted_after_ninety_days(
    app: Application, database: str, webhook: UUID
) -> None:
    for at in (OLD, "now() - interval '91 days'", "now() - interval '89 days'"):
        await stored_notice(app, webhook, at=at)
    for status in ("completed", "cancelled"):
        await stored_replay(app, webhook, status=status)
    kept = {
        await stored_replay(app, webhook, status="running", finished="NULL"),
        await stored_replay(app, webhook, status="completed", finished=YOUNG),
        await stored_replay(app, webhook, status="completed", at=YOUNG, finished=YOUNG),
    }

    await prune(database)

    assert await count_in(app, "webhook_notices") == 1
    assert await ids_in(app, "webhook_replays") == kept


async def test_audit_records_are_deleted_at_their_age_and_tokens_once_they_have_expired(
    app: Application, database: str, tenant: UUID
) -> None:
    await stored_records(app, tenant, 1200)
    await stored_records(app, tenant, 3, at=YOUNG)
    await stored_token(app, tenant, expires="now() - interval '1 s'")
    valid = await stored_token(app, tenant, expires="now() + interval '1 h'")

    await prune(database)

    assert await count_in(app, "webhook_audit") == 3
    assert await ids_in(app, "webhook_tenant_tokens") == {valid}


async def test_portal_links_and_sessions_are_deleted_once_they_have_expired(
    app: Application, database: str, tenant: UUID
) -> None:
    for expires in ("now() - interval '1 s'", "now() + interval '1 h'"):
        link = await stored_link(app, tenant, expires=expires)
        session = await stored_session(app, expires=expires)

    await prune(database)

    assert await ids_in(app, "webhook_portal_links") == {link}
    assert await ids_in(app, "webhook_operator_sessions") == {session}


async def test_idempotency_keys_are_kept_for_a_day(
    app: Application, database: str, tenant: UUID
) -> None:
    for at in ("now() - interval '24 hours 1 s'", "now() - interval '23 hours 59 min'"):
        await stored_key(app, tenant, at=at)

    await prune(database)

    assert await count_in(app, "webhook_idempotency_keys") == 1


async def test_thousands_of_old_records_are_deleted_except_locked_ones(
    app: Application, database: str, webhook: UUID
) -> None:
    held = await stored_replay(app, webhook, status="completed")
    for _ in range(1200):
        await stored_notice(app, webhook)
        await stored_replay(app, webhook, status="completed")
    locker = await asyncpg.connect(database)
    async with locker.transaction():
        await locker.execute("SELECT 1 FROM webhook_replays WHERE id = $1 FOR SHARE", held)
        await prune(database)
    await locker.close()

    assert await count_in(app, "webhook_notices") == 0
    assert await ids_in(app, "webhook_replays") == {held}
