"""What one tenant's rows cost is bounded in the statements that read others' rows too."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from daemon.core.matching.limits import LONGEST_TEXT, MOST_TYPES
from daemon.core.model.ids import EventId, TenantId, WebhookId
from daemon.core.scheduling.lanes import LaneTurn
from daemon.store import claims, deliveries, endpoints, subscriptions
from daemon.store.deliveries import FIND_SERVED
from daemon.store.event_inbox import SCAN
from daemon.store.leased_events import Leasing
from daemon.store.payload_size import UNPRINTABLE_BYTES
from daemon.store.retries import MAX_REQUESTED
from daemon.store.session import prepare
from daemon.store.subscriptions import (
    ALONE,
    BESIDE_OTHERS,
    FIND_ACTIVE,
    FIND_ACTIVE_IDS,
    FIND_PAUSED_SINCE,
)
from tests.support.application import Application
from tests.support.deliveries import insert_delivery
from tests.support.failing import set_failing
from tests.support.postgres import most_rows_read

MOST = 4 * 1024 * 1024
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
LEASING = Leasing(lease=timedelta(seconds=15), daemon_key=7, most_bytes=MOST)


def arrays(levels: int) -> str:
    return "[" * levels + "]" * levels


def objects(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


async def payload_bytes(app: Application, data: str, most: int = MOST) -> int:
    return int(
        await app.db.fetchval("SELECT webhook_payload_bytes($1::jsonb, $2::bigint)", data, most)
    )


@pytest.mark.parametrize("data", [arrays(3999), objects(3999), arrays(2), objects(1)])
async def test_nested_data_are_measured_exactly(app: Application, data: str) -> None:
    printed = await app.db.fetchval("SELECT octet_length($1::jsonb::text)", data)

    assert await payload_bytes(app, data) == printed


@pytest.mark.parametrize("data", [arrays(4001), arrays(14_000), objects(4001), objects(14_000)])
async def test_data_that_nest_too_deep_are_too_large_and_no_error(
    app: Application, data: str
) -> None:
    assert await payload_bytes(app, data) == UNPRINTABLE_BYTES
    # Stored, it is compressed.
    event = await app.event(await app.tenant(), text=data)
    assert (
        await app.db.fetchval(
            "SELECT webhook_payload_bytes(event_data, 65536::bigint) FROM webhook_events"
            " WHERE id = $1",
            event,
        )
        > 65536
    )


async def insert_paused(app: Application, tenant: UUID, count: int) -> None:
    await app.db.execute(
        "INSERT INTO webhooks (tenant_id, name, endpoint_url, secret_key, is_active, paused_at)"
        " SELECT $1, 'x', 'http://127.0.0.1/', 'whsec_x', false, '2020-01-01'"
        "   FROM generate_series(1, $2::int)",
        tenant,
        count,
    )


async def test_a_scan_reads_no_paused_webhook_for_each_place(app: Application) -> None:
    """Neither do statistics of empty tables matter."""
    await app.db.execute("ANALYZE")
    tenant = await app.tenant()
    await insert_paused(app, tenant, 1000)
    for _ in range(100):
        await app.event(tenant)
    await app.db.execute("UPDATE webhook_event_inbox SET arrived_at = '2021-01-01'")

    read = await most_rows_read(
        app.db,
        SCAN,
        *LEASING.arguments,
        *(["0"], [UUID(int=2**128 - 1)], [str(2**63 - 1)], 2000, [], 500, 32),
        *("0", [], 100, [False], []),
    )

    assert read <= 110


async def test_a_tenant_s_active_webhooks_are_read_past_its_paused_ones(app: Application) -> None:
    await app.db.execute("ANALYZE")
    tenant = await app.tenant()
    await insert_paused(app, tenant, 1000)
    active = await app.webhook(tenant, "http://127.0.0.1/")
    before, after = datetime(2019, 6, 1, tzinfo=UTC), datetime(2020, 6, 1, tzinfo=UTC)

    assert await most_rows_read(app.db, FIND_ACTIVE, [tenant], 10, ALONE) <= 1
    assert await most_rows_read(app.db, FIND_ACTIVE_IDS, tenant) <= 1
    assert await most_rows_read(app.db, FIND_PAUSED_SINCE, [tenant], [after], 10, ALONE) == 0
    assert await most_rows_read(app.db, FIND_PAUSED_SINCE, [tenant], [before], 10, ALONE) <= 10
    assert await subscriptions.active_ids(app.db, TenantId(tenant)) == [active]


async def test_who_has_a_delivery_is_found_by_one_row_of_each_webhook(app: Application) -> None:
    tenant = await app.tenant()
    served, other = [WebhookId(await app.webhook(tenant, "http://127.0.0.1/")) for _ in range(2)]
    event = EventId(uuid4())
    await app.db.execute("ANALYZE")
    await app.db.execute(
        "INSERT INTO webhook_deliveries (webhook_id, event_id, event_type, status)"
        " SELECT $1, $2, 'x', 'success' FROM generate_series(1, 2000)",
        *(served, event),
    )

    read = await most_rows_read(app.db, FIND_SERVED, [event, event], [served, other])

    assert read <= 2
    pairs = [(event, served), (event, other)]
    assert await deliveries.served(app.db, pairs) == {(event, served)}


async def test_a_replay_s_delivery_does_not_count_as_one(app: Application) -> None:
    webhook = WebhookId(await app.webhook(await app.tenant(), "http://127.0.0.1/"))
    delivery = await insert_delivery(app, webhook)
    await app.db.execute("UPDATE webhook_deliveries SET replay_id = $1", uuid4())
    event = await app.db.fetchval("SELECT event_id FROM webhook_deliveries WHERE id = $1", delivery)
    of_replay = await deliveries.served(app.db, [(event, webhook)])
    # That which a replay has brought forward was there before.
    await app.db.execute("UPDATE webhook_deliveries SET brought_forward = true")

    assert of_replay == set()
    assert await deliveries.served(app.db, [(event, webhook)]) == {(event, webhook)}


LARGE = {
    "many short types": "event_types = array_fill('x'::text, ARRAY[1000000])",
    "a long type": "event_types = ARRAY[repeat('x', 20000000)]",
    "a long text in the filters": """event_filters = jsonb_build_object('a', repeat('x', 20000000))
    """,
    "filters that nest too deep": f"event_filters = '{arrays(14_000)}'",
}


@pytest.mark.parametrize("change", LARGE.values(), ids=LARGE)
async def test_a_tenant_with_a_large_subscription_is_not_read_beside_others(
    app: Application, change: str
) -> None:
    tenant, other = TenantId(await app.tenant()), TenantId(await app.tenant())
    bad = WebhookId(await app.webhook(tenant, "http://127.0.0.1/"))
    good = await app.webhook(other, "http://127.0.0.1/")
    await app.db.execute(f"UPDATE webhooks SET {change} WHERE id = $1", bad)

    quick, take_long = await subscriptions.of_tenants(
        app.db, [tenant, other], limit=10, most_bytes=BESIDE_OTHERS
    )
    alone = await subscriptions.by_id(app.db, [bad], most_bytes=ALONE)

    assert ([each.webhook_id for each in quick], take_long) == ([good], {tenant})
    assert await subscriptions.by_id(app.db, [bad], most_bytes=BESIDE_OTHERS) is None
    assert alone is not None
    assert sum(map(len, alone[0].event_types or ())) <= LONGEST_TEXT + 1
    assert len(alone[0].event_filters or "") <= LONGEST_TEXT + 1
    assert len(alone[0].event_types or ()) <= MOST_TYPES + 1


async def test_subscriptions_at_their_limits_are_read_as_they_are(app: Application) -> None:
    """A character may take four bytes, and repeat itself or not."""
    tenant = TenantId(await app.tenant())
    each = LONGEST_TEXT // MOST_TYPES
    types = ["\N{GRINNING FACE}" * (each - 2) + f"{number:02}" for number in range(MOST_TYPES)]
    numbers = {"filters": {"a": [1] * ((LONGEST_TEXT - 30) // 3)}}
    webhooks = [
        WebhookId(await app.webhook(tenant, "http://127.0.0.1/", types=types)),
        WebhookId(await app.webhook(tenant, "http://127.0.0.1/", filters=numbers)),
    ]
    printed = await app.db.fetchval(
        "SELECT event_filters::text FROM webhooks WHERE id = $1", webhooks[1]
    )

    found = await subscriptions.by_id(app.db, webhooks, most_bytes=ALONE)

    assert found is not None
    by_id = {each.webhook_id: each for each in found}
    assert by_id[webhooks[0]].event_types == tuple(types)
    assert by_id[webhooks[1]].event_filters == printed
    assert len(printed) > LONGEST_TEXT - 40


async def test_a_few_hundred_ordinary_subscriptions_are_read_beside_others(
    app: Application,
) -> None:
    tenant = TenantId(await app.tenant())
    for number in range(200):
        filters = {"campaign_ids": [f"campaign_{number}"], "filters": {"contact.city": "Oslo"}}
        await app.webhook(tenant, "http://127.0.0.1/", types=["email.*"], filters=filters)

    quick, take_long = await subscriptions.of_tenants(
        app.db, [tenant], limit=201, most_bytes=BESIDE_OTHERS
    )

    assert (len(quick), take_long) == (200, set())


REQUESTED = {
    "too many": "array_fill('00000000-0000-0000-0000-000000000001'::uuid, ARRAY[300000])",
    "more than the daemon adds": f"ARRAY(SELECT gen_random_uuid()"
    f" FROM generate_series(1, {MAX_REQUESTED} + 1))",
    "two dimensions": "array_fill(gen_random_uuid(), ARRAY[5, 5])",
    "none": "ARRAY[]::uuid[]",
}


@pytest.mark.parametrize("requested", REQUESTED.values(), ids=REQUESTED)
async def test_requests_that_no_daemon_wrote_are_removed_by_the_first_claim(
    app: Application, requested: str
) -> None:
    await prepare(app.db)
    webhook = WebhookId(await app.webhook(await app.tenant(), "https://receiver.example/"))
    await insert_delivery(app, webhook, next_retry_at=LONG_AGO)
    await set_failing(app, webhook)
    await app.db.execute(f"UPDATE webhooks SET requested_attempts = {requested}")

    claimed = await claims.claim(
        app.db, [LaneTurn(webhook, 10, None)], lease=LEASING.lease, most_bytes=MOST
    )

    assert claimed[webhook].claims == []
    assert (claimed[webhook].spaced_for or 0) > 0
    assert (await app.health(webhook))["requested_attempts"] is None


async def test_as_many_requests_as_the_daemon_adds_are_kept_until_they_are_claimed(
    app: Application,
) -> None:
    await prepare(app.db)
    webhook = WebhookId(await app.webhook(await app.tenant(), "https://receiver.example/"))
    rows = [
        await insert_delivery(app, webhook, next_retry_at=LONG_AGO) for _ in range(MAX_REQUESTED)
    ]
    await set_failing(app, webhook)
    await app.db.execute("UPDATE webhooks SET requested_attempts = $1", rows)
    claimed: list[UUID] = []

    for _ in range(4):
        lane = await claims.claim(
            app.db, [LaneTurn(webhook, 30, None)], lease=LEASING.lease, most_bytes=MOST
        )
        claimed += [each.delivery_id for each in lane[webhook].claims]

    assert sorted(claimed) == sorted(rows)
    assert (await app.health(webhook))["requested_attempts"] is None


async def test_large_certificates_are_read_with_claims_only(app: Application) -> None:
    tenant = await app.tenant()
    plain, ordinary, large = [
        WebhookId(await app.webhook(tenant, "https://receiver.example/")) for _ in range(3)
    ]
    for webhook, size in ((ordinary, 12_000), (large, 60_000)):
        await app.db.execute(
            "UPDATE webhooks SET client_certificate = repeat('x', $2), client_key = 'x'"
            " WHERE id = $1",
            *(webhook, size),
        )
    await insert_delivery(app, large, next_retry_at=LONG_AGO)
    await prepare(app.db)

    ready = await endpoints.find_ready(app.db, [plain, ordinary, large], within=LEASING.lease)
    claimed = await claims.claim(
        app.db, [LaneTurn(large, 1, None)], lease=LEASING.lease, most_bytes=MOST
    )

    assert set(ready) == {plain, ordinary}
    assert len(claimed[large].claims[0].secrets.client_certificate or "") == 60_000
