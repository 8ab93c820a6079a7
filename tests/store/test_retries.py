"""Manual retry: one attempt, at once, whatever the outcome of earlier ones."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from daemon.core.model.ids import DeliveryId, TenantId, WebhookId
from daemon.core.model.replays import ReplaySource
from daemon.store.retries import (
    MAX_ATTEMPTS,
    RetryDue,
    TooLarge,
    TooOften,
    WebhookPaused,
    retry_now,
)
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import insert_delivery, settled
from tests.support.receiver import Receiver, Reply
from tests.support.replays import YESTERDAY, cancel, request_for, start, store_events, until_ended

LATER = timedelta(hours=1)
SIX_QUICK_ATTEMPTS = {"retry_schedule": ["10ms"] * 5, "failing_backoff": "0s"}


async def retry(
    app: Application, delivery: UUID, *, tenant: UUID | None = None
) -> RetryDue | WebhookPaused | TooLarge | TooOften | None:
    async with app.db.transaction():
        return await retry_now(
            app.db, None if tenant is None else TenantId(tenant), DeliveryId(delivery)
        )


@pytest.fixture
async def webhook(app: Application, receiver: Receiver) -> UUID:
    return await app.webhook(await app.tenant(), receiver.url + "/hook")


@pytest.mark.parametrize(("status", "number"), [("failed", 6), ("success", 1)])
async def test_a_retry_after_the_last_attempt_adds_one_with_the_same_bytes(
    app: Application, database: str, receiver: Receiver, status: str, number: int
) -> None:
    final = status == "failed"
    receiver.answer = lambda _: Reply(500 if final and len(receiver.received) <= 6 else 200)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving(database, delivery=SIX_QUICK_ATTEMPTS):
        await app.event(tenant, text='{"b": 1.0, "a": 1}')
        await until(lambda: settled(app, webhook, status, number))
        first = (await app.deliveries(webhook))[0]
        retried = await retry(app, first["id"])
        assert isinstance(retried, RetryDue)
        await until(lambda: len(receiver.received) == number + 1)
        await until(lambda: settled(app, webhook, "success", 1))

    last = (await app.deliveries(webhook))[-1]
    assert (last["id"], last["attempt_number"]) == (retried.delivery_id, number + 1)
    assert last["status"] == "success"
    assert len({request.body for request in receiver.received}) == 1
    assert receiver.received[-1].headers["x-penguinmails-delivery-id"] == str(last["id"])


async def test_a_retry_of_an_exhausted_delivery_has_the_full_schedule(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(500)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving(database, delivery=SIX_QUICK_ATTEMPTS):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "failed", 6))
        first = (await app.deliveries(webhook))[0]
        await retry(app, first["id"])
        await until(lambda: settled(app, webhook, "failed", 12))

    rows = await app.deliveries(webhook)
    assert [row["attempt_number"] for row in rows] == [*range(1, 13)]
    assert [row["chain_start"] for row in rows] == [1] * 6 + [7] * 6


async def test_a_chain_after_the_highest_number_has_room_for_its_schedule(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(500)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    [event] = await store_events(app, tenant, 1)
    highest = await insert_delivery(
        app, webhook, event_id=event, status="failed", attempt_number=2**31 - 1
    )
    async with serving(database, delivery=SIX_QUICK_ATTEMPTS):
        await retry(app, highest)
        await until(lambda: settled(app, webhook, "failed", 7))
        await until_ended(app, (await start(app, request_for(webhook))).id)
        await until(lambda: settled(app, webhook, "failed", 13))

    assert len(receiver.received) == 12


async def test_a_pending_attempt_is_brought_forward(
    app: Application, database: str, receiver: Receiver, webhook: UUID
) -> None:
    event = uuid4()
    failed = await insert_delivery(
        app, webhook, event_id=event, status="failed", attempt_number=1, next_retry_at=None
    )
    waiting = await insert_delivery(app, webhook, event_id=event)
    async with serving(database):
        retried = await retry(app, failed)
        await until(lambda: settled(app, webhook, "success", 1))

    assert retried == RetryDue(DeliveryId(waiting), WebhookId(webhook))
    assert len(await app.deliveries(webhook)) == 2
    assert len(receiver.received) == 1


async def test_an_attempt_in_flight_is_not_changed(app: Application, webhook: UUID) -> None:
    due, lease = datetime(2025, 1, 1, tzinfo=UTC), datetime.now(UTC) + LATER
    in_flight = await insert_delivery(app, webhook, next_retry_at=due, leased_until=lease)

    retried = await retry(app, in_flight)

    [row] = await app.deliveries(webhook)
    assert retried == RetryDue(DeliveryId(in_flight), WebhookId(webhook))
    assert (row["next_retry_at"], row["leased_until"]) == (due, lease)


async def test_an_attempt_that_is_due_keeps_its_due_time(app: Application, webhook: UUID) -> None:
    due = datetime(2025, 1, 1, tzinfo=UTC)
    waiting = await insert_delivery(app, webhook, next_retry_at=due)

    await retry(app, waiting)

    assert (await app.deliveries(webhook))[0]["next_retry_at"] == due


async def test_the_delivery_of_a_paused_webhook_is_not_changed(
    app: Application, webhook: UUID
) -> None:
    delivery = await insert_delivery(app, webhook)
    before = await app.deliveries(webhook)
    await app.db.execute("UPDATE webhooks SET is_active = false WHERE id = $1", webhook)

    retried = await retry(app, delivery)

    assert retried == WebhookPaused(WebhookId(webhook))
    assert await app.deliveries(webhook) == before


async def test_the_delivery_of_another_tenant_is_not_found(app: Application, webhook: UUID) -> None:
    delivery = await insert_delivery(app, webhook)
    tenant = await app.db.fetchval("SELECT tenant_id FROM webhooks WHERE id = $1", webhook)

    assert await retry(app, uuid4()) is None
    assert await retry(app, delivery, tenant=await app.tenant()) is None
    assert await retry(app, delivery, tenant=tenant) is not None


async def test_two_simultaneous_retries_get_the_same_attempt(
    app: Application, database: str, webhook: UUID
) -> None:
    event = uuid4()
    chain = [
        await insert_delivery(
            app, webhook, event_id=event, status="failed", attempt_number=n, next_retry_at=None
        )
        for n in (1, 2, 3)
    ]
    other = Application(await asyncpg.connect(database))
    first = app.db.transaction()
    await first.start()
    ours = await retry_now(app.db, None, DeliveryId(chain[0]))
    waiting = asyncio.create_task(retry(other, chain[2]))
    await until(lambda: _a_transaction_waits(database))
    await first.commit()
    theirs = await waiting
    await other.db.close()

    assert ours == theirs
    assert len(await app.deliveries(webhook)) == 4


async def _a_transaction_waits(database: str) -> bool:
    connection = await asyncpg.connect(database)
    try:
        return bool(
            await connection.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
        )
    finally:
        await connection.close()


async def test_every_retry_notifies_the_daemons(
    app: Application, database: str, webhook: UUID
) -> None:
    payloads: list[object] = []
    listener = await asyncpg.connect(database)
    await listener.add_listener("webhookd_due", lambda *args: payloads.append(args[3]))
    for status in ("pending_retry", "failed"):
        await retry(app, await insert_delivery(app, webhook, status=status))
    await until(lambda: len(payloads) == 2)
    await listener.close()

    assert payloads == [str(webhook)] * 2


async def test_deleting_a_webhook_does_not_deadlock_with_retries_of_its_deliveries(
    app: Application, database: str, webhook: UUID
) -> None:
    failed = [
        await insert_delivery(app, webhook, status="failed", next_retry_at=None) for _ in range(600)
    ]

    async def retry_some(deliveries: list[UUID]) -> None:
        connection = await asyncpg.connect(database)
        for delivery in deliveries:
            async with connection.transaction():
                await retry_now(connection, None, DeliveryId(delivery))
        await connection.close()

    retrying = [asyncio.create_task(retry_some(failed[n::6])) for n in range(6)]
    await until(lambda: _some_are_retried(app, webhook))
    deleted = await app.db.execute("DELETE FROM webhooks WHERE id = $1", webhook)
    await asyncio.gather(*retrying)

    assert deleted == "DELETE 1"
    assert await app.deliveries(webhook) == []


async def _some_are_retried(app: Application, webhook: UUID) -> bool:
    return len(await app.deliveries(webhook)) > 650


async def test_a_replays_attempt_that_a_retry_brought_forward_survives_the_cancellation(
    app: Application, webhook: UUID
) -> None:
    tenant = await app.db.fetchval("SELECT tenant_id FROM webhooks WHERE id = $1", webhook)
    [event] = await store_events(app, tenant, 1)
    failed = await insert_delivery(
        app, webhook, event_id=event, status="failed", attempt_number=1, next_retry_at=None
    )
    replay = await start(app, request_for(webhook))
    waiting = await insert_delivery(
        app, webhook, event_id=event, replay_id=replay.id, next_retry_at=datetime.now(UTC)
    )

    retried = await retry(app, failed)
    await cancel(app, replay.id)

    assert retried == RetryDue(DeliveryId(waiting), WebhookId(webhook))
    assert waiting in {row["id"] for row in await app.deliveries(webhook)}


async def test_two_replays_of_the_same_exhausted_deliveries_send_each_once(
    app: Application, database: str, receiver: Receiver, webhook: UUID
) -> None:
    for n in range(200):
        at = datetime.now(UTC) - timedelta(minutes=300 - n)
        await insert_delivery(app, webhook, status="failed", next_retry_at=None, attempted_at=at)
    sinces = [YESTERDAY, YESTERDAY + timedelta(seconds=1)]  # identical ones would be refused
    everything = [request_for(webhook, source=ReplaySource.EXHAUSTED, since=at) for at in sinces]

    async with serving(database), serving(database):
        both = [await start(app, each) for each in everything]
        for each in both:
            await until_ended(app, each.id)

    assert len(receiver.received) == 200
    assert max(Counter(r.headers["webhook-id"] for r in receiver.received).values()) == 1


async def test_an_event_can_be_retried_until_it_was_attempted_a_thousand_times(
    app: Application, webhook: UUID
) -> None:
    delivery = await insert_delivery(app, webhook, status="failed", payload="{}")
    await app.db.execute(
        "INSERT INTO webhook_deliveries"
        " (webhook_id, event_id, payload, status, attempt_number, attempted_at)"
        " SELECT webhook_id, event_id, payload, 'failed', n, now() FROM webhook_deliveries,"
        " generate_series(2, $2::int) AS n WHERE id = $1",
        *(delivery, MAX_ATTEMPTS - 1),
    )

    last = await retry(app, delivery)
    assert isinstance(last, RetryDue)
    again = await retry(app, delivery)  # the same one, which is pending
    await app.db.execute(
        "UPDATE webhook_deliveries SET status = 'failed', attempted_at = now() WHERE id = $1",
        last.delivery_id,
    )

    assert again == last
    assert await retry(app, delivery) == TooOften()
