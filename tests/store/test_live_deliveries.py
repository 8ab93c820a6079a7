"""What watchers of deliveries and lists of replays read is bounded, however much is stored."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from daemon.core.model.cursor import Cursor
from daemon.core.model.ids import EventId, WebhookId
from daemon.store.attempts import LIST_OF_EVENT
from daemon.store.live_deliveries import LONGEST_UNSTORED, MOST_NEW, RECENT, recent
from daemon.store.replays import FIND_PAGE
from tests.support.application import Application
from tests.support.deliveries import insert_delivery
from tests.support.postgres import most_rows_read

BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)
INSERT_HISTORY = """
    INSERT INTO webhook_deliveries (webhook_id, event_id, status, attempted_at)
    SELECT $1, gen_random_uuid(), 'success', now() - n * interval '1 second'
      FROM generate_series(1, 3000) AS n
"""
INSERT_PENDING = """
    INSERT INTO webhook_deliveries (webhook_id, event_id, status, attempted_at, next_retry_at)
    SELECT $1, gen_random_uuid(), 'pending_retry', now() - interval '1 day', now()
      FROM generate_series(1, 3000)
"""


@pytest.fixture
async def tenant(app: Application) -> UUID:
    await app.db.execute("ANALYZE")  # of empty tables: the worst that a planner can know
    return await app.tenant()


async def test_the_newest_attempts_and_those_of_watched_events_are_read(
    app: Application, tenant: UUID
) -> None:
    webhook = await app.webhook(tenant, "https://receiver.example/")
    other = await app.webhook(tenant, "https://receiver.example/")
    await app.db.execute(INSERT_HISTORY, webhook)
    await app.db.execute(INSERT_PENDING, webhook)
    events = [uuid4() for _ in range(3)]
    now = datetime.now(UTC)
    for event in events:
        for hook in (webhook, other):
            await insert_delivery(
                app, hook, event_id=event, attempt_number=1, status="failed", attempted_at=now
            )
            await insert_delivery(app, hook, event_id=event, attempted_at=now)
    watched = [EventId(event) for event in events[:2]]

    since = now + timedelta(minutes=1)
    found = await recent(app.db, WebhookId(webhook), since=since, watched=watched)
    newest = await recent(app.db, WebhookId(webhook), since=BEGINNING, watched=[])
    read = await most_rows_read(
        app.db, RECENT, webhook, BEGINNING, watched, MOST_NEW, LONGEST_UNSTORED
    )

    chains = sorted((each.event_id, each.attempt_number, each.status) for each in found)
    assert chains == sorted(
        (event, number, status)
        for event in watched
        for number, status in ((1, "failed"), (2, "pending_retry"))
    )
    assert len(newest) == MOST_NEW
    assert read <= MOST_NEW


async def test_the_attempts_of_one_event_are_found_by_it(app: Application, tenant: UUID) -> None:
    webhook = await app.webhook(tenant, "https://receiver.example/")
    await app.db.execute(INSERT_HISTORY, webhook)
    event = uuid4()
    await insert_delivery(app, webhook, event_id=event)

    start = Cursor()
    selected = (None, None, None, None)
    read = await most_rows_read(
        app.db, LIST_OF_EVENT, webhook, start.at, start.id, *selected, 20_000, 51, event
    )

    assert read <= 3


async def test_a_page_of_replays_reads_one_page_of_each_webhook(
    app: Application, tenant: UUID
) -> None:
    webhooks = [await app.webhook(tenant, "https://receiver.example/") for _ in range(5)]
    await app.db.execute(
        "INSERT INTO webhook_replays (tenant_id, webhook_id, source, from_time, to_time, total,"
        "                             status, created_at)"
        " SELECT $1, id, 'events', now(), now(), 0, 'completed', now() - n * interval '1 minute'"
        "   FROM unnest($2::uuid[]) AS id, generate_series(1, 1000) AS n",
        *(tenant, webhooks),
    )
    start = Cursor()

    read = await most_rows_read(app.db, FIND_PAGE, tenant, None, start.at, start.id, 51, True)

    assert read <= 5 * 60
