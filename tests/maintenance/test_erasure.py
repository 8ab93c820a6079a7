"""Erasure of all data of a tenant, in whole steps; counts; whether a tenant exists."""

import json
from uuid import UUID, uuid4

from daemon.core.model.erasure import ErasureCounts
from daemon.core.model.ids import TenantId
from daemon.store.erasure import tenant_exists
from tests.support.aged_rows import (
    count_in,
    ids_in,
    many_deliveries,
    many_events,
    stored_confirmation,
    stored_delivery,
    stored_event,
    stored_key,
    stored_link,
    stored_notice,
    stored_records,
    stored_replay,
    stored_token,
)
from tests.support.application import Application
from tests.support.deliveries import insert_delivery
from tests.support.erasure import about, counted, erased
from tests.support.operational import scoped_webhook


async def test_everything_of_a_tenant_is_erased_except_its_own_row(
    app: Application, database: str, tenant: UUID
) -> None:
    other = await app.tenant()
    for each in (tenant, other):
        for _ in range(2):
            webhook = await app.webhook(each, "https://example.com")
            await many_deliveries(app, webhook, 1500)
            await stored_delivery(app, webhook, at="NULL", status="pending_retry")
            await stored_notice(app, webhook)
            await stored_replay(app, webhook, status="running", finished="NULL")
        for address in ("ops@example.com", "eve@example.com"):
            await stored_confirmation(app, each, address)
        await many_events(app, each, 3000)
        await stored_records(app, each, 2500)
        await stored_token(app, each)
        await stored_link(app, each)
        for _ in range(1500):
            await stored_key(app, each)
        await stored_event(app, each, at="NULL")
        former = await app.webhook(each, "https://example.com")
        await app.db.execute("UPDATE webhooks SET event_types = '{a}' WHERE id = $1", former)
        await app.db.execute("DELETE FROM webhooks WHERE id = $1", former)
    await stored_event(app, tenant, waiting=True)
    everything = ErasureCounts(
        events=3002,
        waiting=1,
        deliveries=3002,
        pending=2,
        replays=2,
        notices=2,
        webhooks=2,
        confirmations=2,
        tokens=1,
        links=1,
        audit=2500,
        answers=1500,
        versions=2,
    )

    before = await counted(database, tenant)
    counts = await erased(database, tenant)
    again = await erased(database, tenant)

    assert before == counts == everything
    assert again == ErasureCounts()
    for table in (
        *("webhooks", "webhook_events", "webhook_replays", "webhook_notices"),
        "webhook_email_confirmations",
        *("webhook_audit", "webhook_tenant_tokens", "webhook_idempotency_keys"),
        "webhook_portal_links",
        "webhook_history",
    ):
        assert await count_in(app, f"{table} WHERE tenant_id = '{tenant}'") == 0
        assert await count_in(app, f"{table} WHERE tenant_id = '{other}'") > 0
    assert await count_in(app, "webhook_deliveries") == 3002
    assert await count_in(app, "webhook_event_inbox") == 0
    assert tenant in await ids_in(app, "tenants")


async def test_a_tenant_exists_by_its_row_or_by_its_data(app: Application, tenant: UUID) -> None:
    removed = uuid4()
    await stored_event(app, removed)

    found = [await tenant_exists(app.db, TenantId(each)) for each in (tenant, removed, uuid4())]

    assert found == [True, True, False]


async def test_counting_changes_nothing_and_equals_what_erasing_erases(
    app: Application, database: str, tenant: UUID, webhook: UUID
) -> None:
    event = await stored_event(app, tenant, data=about("cont_1"), waiting=True)
    await stored_delivery(app, webhook, event_id=event, payload=None)
    await stored_delivery(app, webhook, event_id=event, payload=about("cont_1"))
    await stored_delivery(app, webhook, payload=about("cont_1"), status="pending_retry")
    await stored_delivery(app, webhook)
    await stored_event(app, tenant)

    all_counts = [await counted(database, tenant, "cont_1") for _ in range(2)]
    all_counts.append(await erased(database, tenant, "cont_1"))

    assert all_counts == [ErasureCounts(events=1, waiting=1, deliveries=3, pending=1)] * 3


async def test_an_event_with_more_deliveries_than_one_step_erases_is_erased_whole(
    app: Application, database: str, tenant: UUID, webhook: UUID
) -> None:
    event = await stored_event(app, tenant, data=about("cont_1"))
    await many_deliveries(app, webhook, 2500)
    await app.db.execute("UPDATE webhook_deliveries SET event_id = $1", event)

    assert await erased(database, tenant, "cont_1") == ErasureCounts(events=1, deliveries=2500)


async def test_a_contact_s_confirmed_address_is_erased_and_no_other(
    app: Application, database: str, tenant: UUID
) -> None:
    other = await app.tenant()
    for each, address in (
        *((tenant, "eve@example.com"), (tenant, "adam@example.com")),
        (other, "eve@example.com"),
    ):
        await stored_confirmation(app, each, address)

    before = await counted(database, tenant, "Eve@Example.com")
    counts = await erased(database, tenant, "Eve@Example.com")

    left = await app.db.fetch("SELECT tenant_id, address FROM webhook_email_confirmations")
    assert before == counts == ErasureCounts(confirmations=1)
    assert {(row["tenant_id"], row["address"]) for row in left} == {
        (tenant, "adam@example.com"),
        (other, "eve@example.com"),
    }


async def test_a_contact_s_erasure_leaves_the_keys_of_its_tenant_without_their_answers(
    app: Application, database: str, tenant: UUID
) -> None:
    """They are sealed, so that any of them may show the contact; no repeat acts again."""
    other = await app.tenant()
    for each in (tenant, tenant, other):
        await stored_key(app, each)

    before = await counted(database, tenant, "cont_1")
    counts = await erased(database, tenant, "cont_1")

    assert before == counts == ErasureCounts(answers=2)
    rows = await app.db.fetch("SELECT tenant_id, answer, status FROM webhook_idempotency_keys")
    assert {(row["tenant_id"], row["answer"], row["status"]) for row in rows} == {
        (tenant, None, 200),
        (other, "sealed", 200),
    }


async def test_what_operational_events_say_about_a_tenant_is_erased_from_operators_webhooks_too(
    app: Application, database: str, tenant: UUID, webhook: UUID
) -> None:
    other = await app.tenant()
    pager = await scoped_webhook(app, other, "https://example.com", "operator")
    for named, kind in ((tenant, "webhook.failing"), (other, "webhook.failing"), (tenant, "email")):
        await insert_delivery(
            *(app, pager),
            event_type=kind,
            payload=json.dumps({"tenant_id": str(named), "webhook_id": str(webhook)}),
        )
    await app.db.execute(
        "INSERT INTO webhook_operational_events (tenant_id, webhook_id, type, data)"
        " SELECT tenant, $2, 'webhook.paused', '{}' FROM unnest($1::uuid[]) AS tenant",
        [tenant, other],
        webhook,
    )

    before = await counted(database, tenant)
    counts = await erased(database, tenant)

    left = {(row["event_type"], row["payload"]) for row in await app.deliveries(pager)}
    assert before == counts
    assert (counts.deliveries, counts.notices) == (1, 1)
    assert {kind for kind, _ in left} == {"webhook.failing", "email"}
    assert not any(str(tenant) in text for kind, text in left if kind == "webhook.failing")
    waiting = await app.db.fetch("SELECT tenant_id FROM webhook_operational_events")
    assert [row["tenant_id"] for row in waiting] == [other]
