"""Rows of webhook_deliveries that the application inserts are taken, however they are stored."""

from datetime import UTC, datetime, timedelta
from itertools import product
from uuid import UUID, uuid4

import asyncpg
import pytest

from daemon.store.partitioning import Layout
from tests.support.api_client import serving_api
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import insert_delivery, settled
from tests.support.receiver import Receiver

NOW = datetime.now(UTC)
TIMES = {
    "no time": None,
    "now": NOW,
    "yesterday": NOW - timedelta(days=1),
    "a century ago": NOW - timedelta(days=36_500),
    "in a century": NOW + timedelta(days=36_500),
}
STATUSES = ["pending_retry", "success", "failed", "sent", "", None]


async def test_a_row_of_any_status_and_time_is_stored_once_and_shown(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, "https://example.com")

    inserted = {
        await insert_delivery(app, webhook, status=status, attempted_at=at): (status, at)
        for status, at in product(STATUSES, TIMES.values())
    }

    rows = await app.db.fetch("SELECT id, status, attempted_at FROM webhook_deliveries")
    assert len(rows) == len(inserted)
    assert {row["id"]: (row["status"], row["attempted_at"]) for row in rows} == inserted
    async with serving_api(database, tenant) as api:
        for delivery, (status, _) in inserted.items():
            answer = await api.get(f"/api/deliveries/{delivery}")
            assert (answer.status, answer.json["status"]) == (200, status or "")


@pytest.mark.parametrize("at", ["-infinity", "infinity"])
async def test_a_row_may_have_a_time_without_end(at: str, app: Application) -> None:
    webhook = await app.webhook(await app.tenant(), "https://example.com")

    for status in STATUSES:
        await app.db.execute(
            "INSERT INTO webhook_deliveries (webhook_id, event_id, status, attempted_at)"
            " VALUES ($1, $2, $3, $4::text::timestamptz)",
            *(webhook, uuid4(), status, at),
        )

    assert await app.db.fetchval("SELECT count(*) FROM webhook_deliveries") == len(STATUSES)


@pytest.mark.parametrize("at", TIMES.values(), ids=TIMES)
async def test_a_pending_row_of_any_time_is_delivered(
    at: datetime | None, app: Application, database: str, receiver: Receiver
) -> None:
    webhook = await app.webhook(await app.tenant(), receiver.url + "/hook")

    async with serving(database):
        await insert_delivery(app, webhook, attempted_at=at, next_retry_at=NOW)
        await until(lambda: settled(app, webhook, "success", 1))

    assert len(receiver.received) == 1


async def test_a_pending_id_that_is_given_twice_is_refused(app: Application) -> None:
    webhook = await app.webhook(await app.tenant(), "https://example.com")
    delivery = await insert_delivery(app, webhook)

    with pytest.raises(asyncpg.UniqueViolationError):
        await insert_delivery(app, webhook, id=delivery)


async def test_an_id_of_the_past_that_is_given_again_stops_no_other_delivery(
    app: Application, database: str, receiver: Receiver, layout: Layout
) -> None:
    webhook = await app.webhook(await app.tenant(), receiver.url + "/twice")
    other = await app.webhook(await app.tenant(), receiver.url + "/other")
    delivery = await insert_delivery(app, webhook, status="success", attempted_at=NOW)
    if layout is Layout.PLAIN:
        with pytest.raises(asyncpg.UniqueViolationError):
            await insert_delivery(app, webhook, id=delivery)
        return

    async with serving(database):
        await insert_delivery(app, webhook, id=delivery, next_retry_at=NOW)
        await until(lambda: len(receiver.at("/twice")) == 1)
        await insert_delivery(app, other, next_retry_at=NOW)
        await until(lambda: settled(app, other, "success", 1))
        await until(lambda: settled(app, webhook, "success", 2))

    assert len(receiver.at("/twice")) == 1
    before, result = sorted(await app.deliveries(webhook), key=lambda row: row["id"] != delivery)
    assert (before["id"], before["status_code"]) == (delivery, None)
    assert (result["id"] != delivery, result["status_code"]) == (True, 200)


async def test_deleting_a_webhook_removes_its_deliveries_of_every_kind(app: Application) -> None:
    webhook = await app.webhook(await app.tenant(), "https://example.com")
    kept = await app.webhook(await app.tenant(), "https://example.com")
    for status in STATUSES:
        for at in TIMES.values():
            await insert_delivery(app, webhook, status=status, attempted_at=at)
    remaining: UUID = await insert_delivery(app, kept)

    await app.db.execute("DELETE FROM webhooks WHERE id = $1", webhook)

    assert [row["id"] for row in await app.db.fetch("SELECT id FROM webhook_deliveries")] == [
        remaining
    ]
