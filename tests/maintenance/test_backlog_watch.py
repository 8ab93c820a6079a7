"""What waits in the database is counted beside the scrapes, in a bounded part of the tables."""

from datetime import timedelta

import asyncpg
import pytest
from structlog.testing import capture_logs

from daemon.maintenance.backlog_watch import BacklogWatch
from daemon.runtime.metrics import Metrics
from daemon.store import search
from daemon.store.backlog import FIND_INBOX, FIND_PENDING
from daemon.store.database import Database
from tests.support.aged_rows import many_deliveries
from tests.support.application import Application
from tests.support.failing import set_failing
from tests.support.postgres import most_rows_read, pages_read
from tests.support.samples import samples

HOUR = timedelta(hours=1)
URL = "https://receiver.example/"


async def counted(database: Database) -> dict[str, float]:
    """Return what one round shows, without the zeros."""
    metrics = Metrics()
    await BacklogWatch(database, metrics).run_once()
    return samples(metrics.render().decode())


async def test_everything_that_waits_is_counted_by_its_state(
    app: Application, pool: Database
) -> None:
    tenant = await app.tenant()
    opened, half_open, paused, stopped = [await app.webhook(tenant, URL) for _ in range(4)]
    await app.events(tenant, 3)
    await app.db.execute("UPDATE webhook_event_inbox SET arrived_at = now() - interval '1 hour'")
    await many_deliveries(app, opened, 2, at="now()", status="pending_retry")
    await app.db.execute(
        "UPDATE webhook_deliveries SET next_retry_at = now() - interval '1 minute'"
        " WHERE id = (SELECT min(id::text)::uuid FROM webhook_deliveries)"
    )
    await many_deliveries(app, opened, 50, at="now()")
    await set_failing(app, opened, probe_in=HOUR)
    await set_failing(app, half_open, probe_in=-HOUR)
    await app.db.execute("UPDATE webhooks SET is_active = false WHERE id = $1", stopped)
    await app.db.execute(
        "UPDATE webhooks SET is_active = false, paused_reason = 'failures' WHERE id = $1", paused
    )
    await app.db.execute(
        "INSERT INTO webhook_notices (tenant_id, webhook_id, kind, data, due_at)"
        " VALUES ($1, $2, 'webhook_paused', '{}', now() - interval '5 minutes')",
        tenant,
        paused,
    )

    found = await counted(pool)

    assert {name: found[f"webhookd_{name}"] for name in EXPECTED} == EXPECTED
    assert 3600 <= found["webhookd_inbox_oldest_seconds"] < 3700
    assert 300 <= found["webhookd_mail_oldest_seconds"] < 400


EXPECTED = {
    "inbox_events": 3,
    "pending_deliveries": 2,
    "pending_deliveries_due": 1,
    "webhooks state=failing": 2,
    "webhooks state=paused_by_failures": 1,
    "webhooks state=paused_by_request": 1,
    "circuits state=open": 1,
    "circuits state=half_open": 1,
    "mail_notices state=waiting": 1,
    "mail_notices state=given_up": 0,
    "history_partition_days_ahead": 7,
    "history_oldest_partition_days": 0,
}


async def test_finished_attempts_are_not_read(app: Application) -> None:
    webhook = await app.webhook(await app.tenant(), URL)
    await many_deliveries(app, webhook, 1000, at="now()")
    await many_deliveries(app, webhook, 3, at="now()", status="pending_retry")

    assert await most_rows_read(app.db, FIND_PENDING) == 3


async def test_what_a_huge_transaction_inserts_is_not_passed_in_the_inbox(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    publisher = await asyncpg.connect(database)
    async with publisher.transaction():
        await app.events(tenant, 2)
        await Application(publisher).events(tenant, 4000)
        await app.events(tenant, 3)
        pages = await pages_read(app.db, FIND_INBOX, 2)
        found = await app.db.fetchrow(FIND_INBOX, 2)
    await publisher.close()

    assert pages < 10
    assert found["inbox_events"] == 5
    assert 0 < found["inbox_oldest_seconds"] < 60


async def test_all_of_a_small_inbox_is_counted_once(app: Application) -> None:
    await app.events(await app.tenant(), 1000)

    found = [await app.db.fetchval(FIND_INBOX, pages) for pages in (1, 30, 1000)]

    assert found[0] < 1000
    assert found[1:] == [1000, 1000]


async def test_what_takes_too_long_to_count_stays_as_it_was_without_a_warning(
    app: Application, pool: Database, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "LIMIT_STEP", "SET LOCAL statement_timeout = '20ms'")
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, URL)
    await many_deliveries(app, webhook, 3, at="now()", status="pending_retry")
    metrics = Metrics()
    watch = BacklogWatch(pool, metrics)
    await watch.run_once()
    watch._next_round_at = 0.0
    await app.events(tenant, 2)
    other = await asyncpg.connect(database)

    with capture_logs() as lines:
        async with other.transaction():
            await other.execute("LOCK TABLE webhook_deliveries IN ACCESS EXCLUSIVE MODE")
            await watch.run_once()
    await other.close()

    found = samples(metrics.render().decode())
    assert (found["webhookd_pending_deliveries"], found["webhookd_inbox_events"]) == (3, 2)
    assert lines == []


async def test_figures_that_cannot_be_had_are_said_once_and_stop_nothing(
    app: Application, pool: Database
) -> None:
    watch = BacklogWatch(pool, Metrics())
    await app.db.execute("ALTER TABLE webhook_notices RENAME TO elsewhere")

    with capture_logs() as lines:
        rest = await watch.run_once()
        watch._next_round_at = 0.0
        await watch.run_once()

    assert rest > 0
    assert [line["event"] for line in lines] == ["backlog.not_counted"]
