"""Claims for an endpoint that is failing: one attempt, by one daemon, once its time has come."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from daemon.core.model.ids import DeliveryId, WebhookId
from daemon.core.scheduling.lanes import LaneTurn
from daemon.store import claim_leases, claims
from daemon.store.claims import BLOCKED_PROBE_SECONDS, LEASE_DUE, LaneClaims
from daemon.store.retries import MAX_REQUESTED, retry_now
from daemon.store.session import PLANNING, prepare
from tests.support.application import Application
from tests.support.deliveries import insert_delivery
from tests.support.failing import HOUR, set_failing

LEASE = timedelta(seconds=30)
MOST_BYTES = 8 * 1024 * 1024
DUE = datetime(2025, 1, 1, tzinfo=UTC)
NOW = timedelta(0)


@pytest.fixture
async def webhook(app: Application) -> WebhookId:
    await prepare(app.db)
    return WebhookId(await app.webhook(await app.tenant(), "https://receiver.example/"))


@pytest.fixture
async def other(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of another daemon, or of a person."""
    connection = await asyncpg.connect(database)
    await prepare(connection)
    yield connection
    await connection.close()


async def claim(
    db: asyncpg.Connection, webhook: WebhookId, *, limit: int = 10, since: datetime | None = None
) -> LaneClaims:
    turns = [LaneTurn(webhook, limit, since)]
    return (await claims.claim(db, turns, lease=LEASE, most_bytes=MOST_BYTES))[webhook]


async def insert_due(app: Application, webhook: UUID, count: int) -> list[UUID]:
    return [
        await insert_delivery(app, webhook, next_retry_at=DUE + timedelta(seconds=number))
        for number in range(count)
    ]


async def next_probe_at(app: Application, webhook: UUID) -> datetime:
    at: datetime = (await app.health(webhook))["next_probe_at"]
    return at


def ids(claimed: LaneClaims) -> list[UUID]:
    return [each.delivery_id for each in claimed.claims]


async def test_one_attempt_is_claimed_and_the_next_may_begin_when_its_lease_lapses(
    app: Application, webhook: WebhookId
) -> None:
    first, *_ = await insert_due(app, webhook, 3)
    await set_failing(app, webhook, probe_in=NOW)
    since = (await app.health(webhook))["failing_since"]

    probe = await claim(app.db, webhook)
    nothing = await claim(app.db, webhook)

    assert ids(probe) == [first]
    assert probe.claims[0].failing_since == since
    assert await next_probe_at(app, webhook) == probe.claims[0].leased_until
    assert probe.spaced_for == LEASE.total_seconds()
    assert ids(nothing) == []
    assert nothing.spaced_for == pytest.approx(LEASE.total_seconds(), abs=10)
    assert nothing.upcoming is not None
    assert nothing.upcoming.at == DUE + timedelta(seconds=1)

    await app.db.execute("UPDATE webhook_deliveries SET leased_until = now() WHERE id = $1", first)
    await app.db.execute("UPDATE webhooks SET next_probe_at = now()")
    assert ids(await claim(app.db, webhook)) == [first]


async def test_nothing_is_claimed_before_the_time_of_the_next_probe(
    app: Application, webhook: WebhookId
) -> None:
    await insert_due(app, webhook, 3)
    await set_failing(app, webhook)
    at = await next_probe_at(app, webhook)

    claimed = await claim(app.db, webhook)

    assert ids(claimed) == []
    assert claimed.spaced_for == pytest.approx(HOUR.total_seconds(), abs=10)
    assert await next_probe_at(app, webhook) == at


async def test_a_probe_is_never_earlier_than_its_attempt_is_scheduled(
    app: Application, webhook: WebhookId
) -> None:
    later = datetime.now(UTC) + HOUR
    await insert_delivery(app, webhook, next_retry_at=later)
    await set_failing(app, webhook, probe_in=NOW)
    at = await next_probe_at(app, webhook)

    claimed = await claim(app.db, webhook)

    assert ids(claimed) == []
    assert claimed.upcoming is not None
    assert claimed.upcoming.at == later
    assert await next_probe_at(app, webhook) == at


async def test_two_daemons_never_probe_at_the_same_time(
    app: Application, other: asyncpg.Connection, webhook: WebhookId
) -> None:
    first, *_ = await insert_due(app, webhook, 3)
    await set_failing(app, webhook, probe_in=NOW)

    async with other.transaction():
        won = await claim(other, webhook)
        lost = await claim(app.db, webhook)

    assert (ids(won), ids(lost)) == ([first], [])
    assert lost.spaced_for == BLOCKED_PROBE_SECONDS
    assert ids(await claim(app.db, webhook)) == []


async def test_a_claim_waits_for_nobody_who_holds_the_webhook(
    app: Application, other: asyncpg.Connection, webhook: WebhookId
) -> None:
    await insert_due(app, webhook, 1)
    healthy = WebhookId(await app.webhook(await app.tenant(), "https://receiver.example/"))
    await insert_due(app, healthy, 2)
    await set_failing(app, webhook, probe_in=NOW)

    async with other.transaction():
        await other.execute("SELECT FROM webhooks FOR UPDATE")
        turns = [LaneTurn(each, 5, None) for each in (webhook, healthy)]
        claimed = await claims.claim(app.db, turns, lease=LEASE, most_bytes=MOST_BYTES)

    assert (ids(claimed[webhook]), len(ids(claimed[healthy]))) == ([], 2)
    assert claimed[webhook].spaced_for == BLOCKED_PROBE_SECONDS


async def test_a_probe_that_is_given_back_may_be_made_at_once(
    app: Application, webhook: WebhookId
) -> None:
    [row] = await insert_due(app, webhook, 1)
    await set_failing(app, webhook, probe_in=NOW)
    probe = await claim(app.db, webhook)

    await claim_leases.release(app.db, probe.claims)

    assert ids(await claim(app.db, webhook)) == [row]


async def test_a_release_waits_for_no_row_that_another_transaction_holds(
    app: Application, other: asyncpg.Connection, webhook: WebhookId
) -> None:
    rows = await insert_due(app, webhook, 3)
    claimed = await claim(app.db, webhook)
    await app.db.execute("SET statement_timeout = '2s'")

    async with other.transaction():
        await other.execute("SELECT FROM webhook_deliveries WHERE id = $1 FOR UPDATE", rows[1])
        await claim_leases.release(app.db, claimed.claims)

    assert ids(await claim(app.db, webhook)) == [rows[0], rows[2]]


async def test_a_release_moves_no_time_that_a_result_has_set(
    app: Application, webhook: WebhookId
) -> None:
    await insert_due(app, webhook, 1)
    await set_failing(app, webhook, probe_in=NOW)
    probe = await claim(app.db, webhook)
    await set_failing(app, webhook)
    at = await next_probe_at(app, webhook)

    await claim_leases.release(app.db, probe.claims)

    assert await next_probe_at(app, webhook) == at


async def test_what_people_asked_for_is_claimed_first_as_far_as_the_turn_allows(
    app: Application, webhook: WebhookId
) -> None:
    rows = await insert_due(app, webhook, 6)
    await set_failing(app, webhook)
    at = await next_probe_at(app, webhook)
    for row in rows[2:5]:
        async with app.db.transaction():
            await retry_now(app.db, None, DeliveryId(row))

    two = await claim(app.db, webhook, limit=2, since=datetime.now(UTC))
    one = await claim(app.db, webhook, limit=2)
    none = await claim(app.db, webhook, limit=2)

    assert (sorted(ids(two)), ids(one), ids(none)) == (sorted(rows[2:4]), [rows[4]], [])
    assert two.spaced_for == 0.0
    assert await next_probe_at(app, webhook) == at


async def test_what_people_asked_for_serves_as_the_probe_that_is_due(
    app: Application, webhook: WebhookId
) -> None:
    rows = await insert_due(app, webhook, 3)
    await set_failing(app, webhook, probe_in=NOW)
    async with app.db.transaction():
        await retry_now(app.db, None, DeliveryId(rows[2]))

    claimed = await claim(app.db, webhook)

    assert ids(claimed) == [rows[2]]
    assert await next_probe_at(app, webhook) == claimed.claims[0].leased_until


async def test_a_request_for_an_attempt_that_is_over_holds_nothing_up(
    app: Application, webhook: WebhookId
) -> None:
    [row] = await insert_due(app, webhook, 1)
    await set_failing(app, webhook, probe_in=NOW)
    await app.db.execute(
        "UPDATE webhooks SET requested_attempts = ARRAY[$1]::uuid[] WHERE id = $2", uuid4(), webhook
    )

    assert ids(await claim(app.db, webhook)) == []
    assert ids(await claim(app.db, webhook)) == [row]


async def test_requests_are_bounded_and_each_counts_once(
    app: Application, webhook: WebhookId
) -> None:
    rows = await insert_due(app, webhook, MAX_REQUESTED + 5)
    await set_failing(app, webhook)
    for row in [*rows, *rows]:
        async with app.db.transaction():
            await retry_now(app.db, None, DeliveryId(row))

    requested = (await app.health(webhook))["requested_attempts"]
    assert requested == rows[:MAX_REQUESTED]


async def test_an_endpoint_that_is_not_failing_is_claimed_for_as_before(
    app: Application, webhook: WebhookId
) -> None:
    rows = await insert_due(app, webhook, 5)
    await set_failing(app, webhook)
    await app.db.execute("UPDATE webhooks SET is_failing = false")  # an older version did

    claimed = await claim(app.db, webhook, limit=3)

    assert ids(claimed) == rows[:3]
    assert claimed.claims[0].failing_since is None
    assert (claimed.spaced_for, claimed.last_due) == (None, DUE + timedelta(seconds=2))


async def test_a_claim_for_healthy_endpoints_locks_and_writes_no_webhook(
    app: Application, other: asyncpg.Connection, webhook: WebhookId
) -> None:
    await insert_due(app, webhook, 3)
    before = await app.db.fetchval("SELECT ctid::text FROM webhooks")

    async with other.transaction():
        await claim(other, webhook)
        await app.db.execute("SELECT FROM webhooks FOR UPDATE NOWAIT")

    assert await app.db.fetchval("SELECT ctid::text FROM webhooks") == before


async def test_the_claim_reads_by_the_indexes_made_for_it_if_the_tables_were_empty_when_analyzed(
    app: Application,
) -> None:
    await app.db.execute(f"{PLANNING}; ANALYZE webhook_deliveries; ANALYZE webhooks")

    await app.db.execute(
        "PREPARE lease (uuid[], int[], timestamptz[], interval, bigint, bigint, float8, text)"
        f" AS {LEASE_DUE}; SET plan_cache_mode = force_generic_plan"
    )
    plan = [
        row[0]
        for row in await app.db.fetch(
            "EXPLAIN EXECUTE lease ('{}', '{}', '{}', '30 s', 1, 1, 0.25, 'a')"
        )
    ]

    scans = [line for line in plan if " on webhooks" in line or " on webhook_deliveries" in line]
    scans = [line for line in scans if "Scan" in line]
    by_lane = [line for line in scans if re.search(r"webhook_deliveries\w*_due", line)]
    by_key = [line for line in scans if "_pkey" in line]
    assert sorted(by_lane + by_key) == sorted(scans)
