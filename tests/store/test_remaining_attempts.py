"""A success ends what is pending of its event, found by key and without waiting."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from daemon.core.model.attempts import Claim
from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.core.model.secrets import StoredSecrets
from daemon.store import remaining_attempts
from daemon.store.remaining_attempts import FIND
from daemon.store.replay_batches import LOCK_PENDING
from daemon.store.session import prepare
from tests.support.aged_rows import many_deliveries
from tests.support.application import Application
from tests.support.deliveries import insert_delivery
from tests.support.postgres import most_rows_read

HOUR = timedelta(hours=1)


def delivered(webhook: UUID, event: UUID) -> Claim:
    now = datetime.now(UTC)
    return Claim(
        delivery_id=DeliveryId(uuid4()),
        webhook_id=WebhookId(webhook),
        tenant_id=TenantId(uuid4()),
        event_id=EventId(event),
        event_type="email.opened",
        event_created_at=now,
        data="{}",
        attempt=1,
        claimed_at=now,
        leased_until=now,
        endpoint_url="https://receiver.example/",
        secrets=StoredSecrets(WebhookId(webhook), "whsec_x", endpoint_url=""),
    )


async def test_what_is_in_flight_locked_or_of_another_webhook_or_event_stays(
    app: Application, database: str
) -> None:
    await prepare(app.db)
    tenant = await app.tenant()
    webhook, other = [await app.webhook(tenant, "https://receiver.example/") for _ in range(2)]
    event, now = uuid4(), datetime.now(UTC)
    due = await insert_delivery(app, webhook, event_id=event, next_retry_at=now)
    lapsed = await insert_delivery(app, webhook, event_id=event, leased_until=now - HOUR)
    in_flight = await insert_delivery(app, webhook, event_id=event, leased_until=now + HOUR)
    locked = await insert_delivery(app, webhook, event_id=event)
    failed = await insert_delivery(app, webhook, event_id=event, status="failed")
    others = [
        await insert_delivery(app, webhook),
        await insert_delivery(app, other, event_id=event),
    ]
    holder = await asyncpg.connect(database)
    transaction = holder.transaction()
    await transaction.start()
    await holder.execute("SELECT FROM webhook_deliveries WHERE id = $1 FOR UPDATE", locked)

    await remaining_attempts.remove(app.db, [delivered(webhook, event)] * 2)
    await transaction.rollback()
    await holder.close()

    left = {row["id"] for row in await app.db.fetch("SELECT id FROM webhook_deliveries")}
    assert left == {in_flight, locked, failed, *others}
    assert left.isdisjoint({due, lapsed})


async def test_any_number_of_pending_attempts_of_one_event_is_removed_in_bounded_steps(
    app: Application,
) -> None:
    await prepare(app.db)
    webhook = await app.webhook(await app.tenant(), "https://receiver.example/")
    event = uuid4()
    await many_deliveries(app, webhook, 250, at="now()", status="pending_retry")
    await app.db.execute("UPDATE webhook_deliveries SET event_id = $1", event)
    left = []

    for _ in range(3):
        await remaining_attempts.remove(app.db, [delivered(webhook, event)])
        left.append(await app.db.fetchval("SELECT count(*) FROM webhook_deliveries"))

    assert left == [150, 50, 0]


@pytest.mark.parametrize("analyzed", ["never", "while empty", "full"])
async def test_pending_attempts_are_found_past_all_others_whatever_the_statistics(
    app: Application, analyzed: str
) -> None:
    await prepare(app.db)
    webhook = await app.webhook(await app.tenant(), "https://receiver.example/")
    if analyzed == "while empty":
        await app.db.execute("ANALYZE")
    await many_deliveries(app, webhook, 2000, at="now()", status="pending_retry")
    if analyzed == "full":
        await app.db.execute("ANALYZE")
    rows = await app.db.fetch("SELECT event_id FROM webhook_deliveries LIMIT 3")
    events = [row["event_id"] for row in rows] + [uuid4()]

    assert await most_rows_read(app.db, FIND, events, [webhook] * 4) <= 4
    assert await most_rows_read(app.db, LOCK_PENDING, webhook, events) <= 4
