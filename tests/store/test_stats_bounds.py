"""What stats cost is bounded, however long a webhook's history and however many attempts wait."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from daemon.core.outcomes.stats_range import last_day, stats_range
from daemon.store.stats import COUNT, FIND_WAITING, MOST_BATCHES_READ
from tests.support.application import Application
from tests.support.postgres import most_rows_read

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@pytest.fixture
async def webhook(app: Application) -> UUID:
    await app.db.execute("ANALYZE")  # of empty tables: the worst that a planner can know
    return await app.webhook(await app.tenant(), "https://receiver.example/")


async def insert(app: Application, webhook: UUID, count: int, *, status: str) -> None:
    await app.db.execute(
        "INSERT INTO webhook_deliveries (webhook_id, event_id, status, attempted_at, next_retry_at)"
        " SELECT $1, gen_random_uuid(), $2, now() - n * interval '1 second', now()"
        "   FROM generate_series(1, $3::int) AS n",
        *(webhook, status, count),
    )


async def test_the_oldest_pending_attempt_is_found_past_the_history(
    app: Application, webhook: UUID
) -> None:
    await insert(app, webhook, 3000, status="success")
    await insert(app, webhook, 3, status="pending_retry")

    assert await most_rows_read(app.db, FIND_WAITING, webhook) <= 3


async def test_of_many_pending_attempts_a_thousand_are_read(
    app: Application, webhook: UUID
) -> None:
    await insert(app, webhook, 5000, status="pending_retry")

    assert await most_rows_read(app.db, FIND_WAITING, webhook) <= 1000


@pytest.mark.parametrize("since", [DAY, 30 * DAY])
async def test_the_minutes_or_the_hours_of_the_range_are_read(
    app: Application, webhook: UUID, since: timedelta
) -> None:
    await app.db.execute(
        "INSERT INTO webhook_stats (webhook_id, minutes, begins_at, cells, counts)"
        " SELECT id, m, now() - n * m * interval '1 minute', '{0, 100}', '{1, 1}'"
        "   FROM webhooks, unnest(ARRAY[1, 60]) AS m, generate_series(1, 1500) AS n"
    )
    covered = stats_range(NOW - since, None, now=NOW)
    minutes = covered.unit // timedelta(minutes=1)
    times = (covered.since, covered.until, covered.width, MOST_BATCHES_READ)

    assert await most_rows_read(app.db, COUNT, [webhook], minutes, *times, True) <= 1442


async def test_a_summary_of_many_webhooks_reads_the_hours_of_a_day(app: Application) -> None:
    await app.db.execute("ANALYZE")
    tenant = await app.tenant()
    webhooks = [await app.webhook(tenant, "https://receiver.example/") for _ in range(20)]
    await app.db.execute(
        "INSERT INTO webhook_stats (webhook_id, minutes, begins_at, cells, counts)"
        " SELECT id, 60, now() - n * interval '1 hour', '{0, 100}', '{1, 1}'"
        "   FROM webhooks, generate_series(0, 500) AS n"
    )
    covered = last_day(NOW, hourly=True)
    times = (covered.since, covered.until, covered.width, MOST_BATCHES_READ)

    assert await most_rows_read(app.db, COUNT, webhooks, 60, *times, False) <= 20 * 26
