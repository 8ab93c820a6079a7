"""Claims for a webhook with a limit: what all daemons together take stays within it."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from daemon.core.model.ids import WebhookId
from daemon.core.policy.delivery_options import FASTEST, MOST_IN_FLIGHT
from daemon.core.scheduling.lanes import LaneTurn
from daemon.store import claim_leases, claims, endpoints, pacing
from daemon.store.claims import LaneClaims
from daemon.store.database import Database
from daemon.store.pacing import NEW, NEW_SECONDS
from daemon.store.session import Connection, prepare
from tests.support.application import Application
from tests.support.deliveries import insert_delivery

LEASE = timedelta(seconds=30)
MOST_BYTES = 8 * 1024 * 1024
DUE = datetime(2025, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


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


async def limit(app: Application, webhook: UUID, **columns: object) -> None:
    """Give the webhook these limits, and the row that its first claim gets it."""
    for name, value in columns.items():
        await app.db.execute(f"UPDATE webhooks SET {name} = $1 WHERE id = $2", value, webhook)
    await pacing.begin(app.db, [WebhookId(webhook)])


async def claim(db: Connection, webhook: WebhookId | UUID, *, most: int = 50) -> LaneClaims:
    turns = [LaneTurn(WebhookId(webhook), most, None)]
    claimed = await claims.claim(db, turns, lease=LEASE, most_bytes=MOST_BYTES)
    return claimed[WebhookId(webhook)]


async def insert_due(app: Application, webhook: UUID, count: int) -> list[UUID]:
    return [
        await insert_delivery(app, webhook, next_retry_at=DUE + timedelta(seconds=number))
        for number in range(count)
    ]


async def pass_time(app: Application, seconds: float) -> None:
    """As if so much time had passed since the last claim."""
    await app.db.execute(
        "UPDATE webhook_pacing SET next_at = next_at - $1::interval", seconds * SECOND
    )


async def test_after_a_pause_a_second_s_worth_begins_at_once_and_then_nothing_for_a_second(
    app: Application, webhook: WebhookId
) -> None:
    await limit(app, webhook, max_per_second=10.0)
    due = await insert_due(app, webhook, 30)

    burst = await claim(app.db, webhook)
    nothing = await claim(app.db, webhook)

    assert [each.delivery_id for each in burst.claims] == due[:10]
    assert (burst.spaced_for or 0) > 1
    assert (len(nothing.claims), nothing.full) == (0, False)
    assert 0 < (nothing.spaced_for or 0) <= 1.1
    assert nothing.upcoming is not None
    assert nothing.upcoming.at == DUE + 10 * SECOND
    leased = await app.db.fetchval(
        "SELECT count(*) FROM webhook_deliveries WHERE leased_until IS NOT NULL"
    )
    assert leased == 10

    await pass_time(app, 1.1)
    assert len((await claim(app.db, webhook)).claims) == 1  # and no second burst
    await pass_time(app, 1.2)
    assert len((await claim(app.db, webhook)).claims) == 10


@pytest.mark.parametrize(("per_second", "together"), [(0.1, 1), (2.5, 1), (10, 1), (1000, 41)])
async def test_in_no_second_more_begin_than_the_limit_and_one(
    app: Application, webhook: WebhookId, per_second: float, together: int
) -> None:
    """The claims come at the worst times: as soon as the last one allows, and after pauses."""
    await limit(app, webhook, max_per_second=per_second)
    await app.db.execute(
        "INSERT INTO webhook_deliveries (webhook_id, event_id, event_type, payload, next_retry_at)"
        " SELECT $1, gen_random_uuid(), 'email.opened', '{}', $2"
        " FROM generate_series(1, 20000)",
        *(webhook, DUE),
    )
    skipped, begun = 0.0, list[tuple[float, int]]()
    for pause in [0, 0, 0, 2, 0, 0, 0.5, 0, 1.07, *[0] * 20, 1.0, 0.9, *[0] * 20]:
        lane = await claim(app.db, webhook, most=5000)
        if lane.claims:
            at = lane.claims[0].claimed_at.timestamp() + skipped
            begun.append((at, len(lane.claims)))
        wait = pause + max(lane.spaced_for or 0, 0)
        skipped += wait
        await pass_time(app, wait)

    for first, _ in begun:
        in_second = sum(count for at, count in begun if first <= at < first + 1)
        assert in_second <= per_second + 1
    assert {count for _, count in begun[-19:]} == {together}


async def test_of_two_daemons_that_claim_at_once_one_gets_all_that_the_limit_allows(
    app: Application, other: asyncpg.Connection, webhook: WebhookId
) -> None:
    await limit(app, webhook, max_per_second=5.0, max_in_flight=4)
    await insert_due(app, webhook, 30)
    unlimited = WebhookId(await app.webhook(await app.tenant(), "https://receiver.example/"))
    await insert_due(app, unlimited, 3)

    async with other.transaction():
        won = await claim(other, webhook)
        turns = [LaneTurn(each, 5, None) for each in (webhook, unlimited)]
        lost = await claims.claim(app.db, turns, lease=LEASE, most_bytes=MOST_BYTES)

    assert (len(won.claims), won.full) == (4, True)
    assert (lost[webhook].claims, len(lost[unlimited].claims)) == ([], 3)
    assert 0 < (lost[webhook].spaced_for or 0) < 0.1
    assert (await claim(app.db, webhook)).claims == []


async def test_a_claim_whose_snapshot_is_older_than_another_claim_takes_nothing(
    app: Application, other: asyncpg.Connection, webhook: WebhookId
) -> None:
    """One begins first, and comes to the webhook last: meanwhile the other is committed."""
    tenant = await app.tenant()
    before = [await app.webhook(tenant, "https://receiver.example/") for _ in range(100)]
    await limit(app, webhook, max_in_flight=1)
    await insert_due(app, webhook, 2)
    turns = [LaneTurn(WebhookId(each), 1, None) for each in [*before, webhook]]

    async def claim_last() -> int:
        claimed = await claims.claim(other, turns, lease=LEASE, most_bytes=MOST_BYTES)
        return len(claimed[webhook].claims)

    both = list[int]()
    for round_ in range(60):
        slow = asyncio.create_task(claim_last())
        await asyncio.sleep(round_ / 10_000)  # at another moment each time
        both.append(len((await claim(app.db, webhook)).claims) + await slow)
        await app.db.execute("UPDATE webhook_deliveries SET leased_until = NULL")

    assert set(both) == {1}


async def test_no_more_are_in_flight_than_the_limit_until_a_result_a_release_or_the_lease_ends_one(
    app: Application, webhook: WebhookId
) -> None:
    await limit(app, webhook, max_in_flight=3)
    await insert_due(app, webhook, 9)

    first = await claim(app.db, webhook)
    full = await claim(app.db, webhook)

    assert (len(first.claims), first.full, full.claims, full.full) == (3, True, [], True)
    assert (full.spaced_for or 0) > 0
    finished, released, lapsed = first.claims
    await app.db.execute(
        "UPDATE webhook_deliveries SET status = 'success', attempted_at = now() WHERE id = $1",
        finished.delivery_id,
    )
    second = await claim(app.db, webhook)
    await claim_leases.release(app.db, [released])
    third = await claim(app.db, webhook)
    await app.db.execute(
        "UPDATE webhook_deliveries SET leased_until = now() WHERE id = $1", lapsed.delivery_id
    )
    fourth = await claim(app.db, webhook)
    assert [len(each.claims) for each in (second, third, fourth)] == [1, 1, 1]
    kept = await app.db.fetchval("SELECT pg_catalog.cardinality(in_flight) FROM webhook_pacing")
    assert kept == 3


async def test_a_limit_that_is_changed_counts_from_the_next_claim_on(
    app: Application, webhook: WebhookId
) -> None:
    await limit(app, webhook, max_per_second=0.1)
    await insert_due(app, webhook, 200)
    slow = await claim(app.db, webhook)
    assert (slow.spaced_for or 0) > 10

    await app.db.execute("UPDATE webhooks SET max_per_second = 50")
    faster = await claim(app.db, webhook)
    await app.db.execute("UPDATE webhooks SET max_per_second = NULL")
    free = await claim(app.db, webhook)

    assert (len(slow.claims), len(faster.claims), len(free.claims)) == (1, 3, 50)
    assert free.spaced_for is None


async def test_a_clock_that_was_set_back_stops_no_webhook(
    app: Application, webhook: WebhookId
) -> None:
    await limit(app, webhook, max_per_second=1.0)
    await insert_due(app, webhook, 2)
    await claim(app.db, webhook)
    await pass_time(app, -86_400)

    assert len((await claim(app.db, webhook)).claims) == 1


ODD = {
    "zero": ("0", "0", 1),
    "negative": ("-5", "-5", 1),
    "not a number": ("'NaN'", "NULL", 50),
    "infinite": ("'Infinity'", "2147483647", 50),
    "minus infinity": ("'-Infinity'", "-2147483648", 1),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
async def test_odd_limits_are_the_nearest_sensible_ones(
    app: Application, webhook: WebhookId, odd: tuple[str, str, int]
) -> None:
    per_second, in_flight, allowed = odd
    await app.db.execute(
        f"UPDATE webhooks SET max_per_second = {per_second}, max_in_flight = {in_flight}"
    )
    await pacing.begin(app.db, [webhook])
    await insert_due(app, webhook, 60)

    claimed = await claim(app.db, webhook)

    assert (FASTEST, MOST_IN_FLIGHT) == (10_000, 256)
    assert len(claimed.claims) == allowed
    assert claimed.full is (allowed == 1)


async def test_odd_timeouts_and_names_are_read_within_bounds(
    app: Application, webhook: WebhookId
) -> None:
    await insert_due(app, webhook, 6)
    found = []
    for timeout in (None, 0, -(2**31), 1500, 30_000, 2**31 - 1):
        await app.db.execute(
            "UPDATE webhooks SET timeout_ms = $1, retry_schedule = repeat('x', 5000000),"
            " client_errors_final = true",
            timeout,
        )
        [one] = (await claim(app.db, webhook, most=1)).claims
        found.append((one.options.timeout_seconds, (one.leased_until - one.claimed_at).seconds))
        assert len(one.options.retry_schedule or "") < 100
        assert one.options.client_errors_final

    assert found == [(None, 30), (1.0, 30), (1.0, 30), (1.5, 30), (30.0, 55), (30.0, 55)]


async def test_first_attempts_that_a_lease_or_a_limit_must_cover_are_claimed(
    app: Application, webhook: WebhookId
) -> None:
    tenant = await app.tenant()
    settings = {
        "nothing": "name = name",
        "shorter": "timeout_ms = 2000",
        "as usual": "timeout_ms = 5000",
        "longer": "timeout_ms = 5001",
        "per second": "max_per_second = 1000",
        "in flight": "max_in_flight = 100",
    }
    ids = {}
    for name, assignment in settings.items():
        ids[WebhookId(await app.webhook(tenant, "https://receiver.example/"))] = name
        await app.db.execute(f"UPDATE webhooks SET {assignment} WHERE id = $1", list(ids)[-1])

    ready = await endpoints.find_ready(app.db, list(ids), within=LEASE)

    assert {ids[each] for each in ready} == {"nothing", "shorter", "as usual"}


async def test_a_claim_is_planned_once_for_all_calls_however_long_its_statement_is(
    app: Application, database: str, webhook: WebhookId
) -> None:
    pool = Database(database, size=1)
    await pool.open()
    for _ in range(3):
        async with pool.connection() as db:
            await claim(db, webhook)
    async with pool.connection() as db:
        uses = await db.fetchval(
            "SELECT generic_plans + custom_plans FROM pg_prepared_statements WHERE statement = $1",
            claims.LEASE_DUE,
        )
    await pool.close(within=SECOND)

    assert uses == 3


async def test_a_held_webhook_delays_no_claim_and_no_row_of_others(
    app: Application, other: asyncpg.Connection, webhook: WebhookId
) -> None:
    await insert_due(app, webhook, 1)
    free = WebhookId(await app.webhook(await app.tenant(), "https://receiver.example/"))
    await app.db.execute("UPDATE webhooks SET max_per_second = 5")

    async with other.transaction():
        await other.execute("SELECT FROM webhooks WHERE id = $1 FOR UPDATE", webhook)
        held = await claim(app.db, webhook)
        begun = await pacing.begin(app.db, [webhook, free])
    later = await pacing.begin(app.db, [webhook, free])

    assert (held.claims, held.limit_state, held.spaced_for) == ([], NEW, NEW_SECONDS)
    assert (begun, later) == ([free], [webhook])
    assert len((await claim(app.db, webhook)).claims) == 1
    await app.db.execute("DELETE FROM webhooks")
    assert await app.db.fetchval("SELECT count(*) FROM webhook_pacing") == 0
