"""Deliveries that the application inserts itself, with and without a payload."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import SHORT, insert_delivery, nothing_pending, settled
from tests.support.receiver import Receiver, Reply


async def test_an_inserted_delivery_is_sent_with_its_own_payload(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(500 if len(receiver.received) == 1 else 200)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    event_id = uuid4()
    async with serving(database, delivery=SHORT):
        await app.db.execute(
            "INSERT INTO webhook_deliveries (id, webhook_id, event_id, event_type, payload, status,"
            " next_retry_at) VALUES ($1, $2, $3, 'email.sent', $4, 'pending_retry', now())",
            uuid4(),
            webhook,
            event_id,
            '{"mine": 1.0}',
        )
        await until(lambda: settled(app, webhook, "success", 1))

    first, second = receiver.received
    assert first.body == second.body
    assert first.event["id"] == f"evt_{event_id.hex}"
    assert first.body.endswith(b'"data":{"mine":1}}')
    assert len(await app.deliveries(webhook)) == 2


async def test_an_inserted_delivery_without_a_payload_is_sent_with_its_events_data_at_every_attempt(
    app: Application, database: str, receiver: Receiver
) -> None:
    replies = iter([Reply(500), Reply(500), Reply()])
    receiver.answer = lambda _: next(replies)
    tenant = await app.tenant()
    event = await app.event(tenant, {"n": 1})
    webhook = await app.webhook(tenant, receiver.url, types=["never"])
    await insert_without_payload(app, webhook, event)
    async with serving(database, delivery=SHORT):
        await until(lambda: settled(app, webhook, "success", 1))

    assert len({request.body for request in receiver.received}) == 1
    assert receiver.received[0].event["data"] == {"n": 1}


async def test_an_inserted_delivery_without_a_payload_outlives_its_event(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(500)
    tenant = await app.tenant()
    event = await app.event(tenant, {"n": 1})
    webhook = await app.webhook(tenant, receiver.url, types=["never"])
    await insert_without_payload(app, webhook, event)
    async with serving(database, delivery={"retry_schedule": ["1s"]}):
        await until(lambda: settled(app, webhook, "failed", 1))
        await app.db.execute("DELETE FROM webhook_events")
        await until(lambda: settled(app, webhook, "failed", 2))

    assert len({request.body for request in receiver.received}) == 1
    assert [row["payload"] for row in await app.deliveries(webhook)] == ['{"n": 1}'] * 2


async def test_a_delivery_of_another_tenants_event_does_not_send_its_data(
    app: Application, database: str, receiver: Receiver
) -> None:
    event = await app.event(await app.tenant(), {"whose": "another's"})
    webhook = await app.webhook(await app.tenant(), receiver.url)
    await insert_without_payload(app, webhook, event)
    async with serving(database):
        await until(lambda: settled(app, webhook, "success", 1))

    assert receiver.received[0].event["data"] is None
    assert [row["payload"] for row in await app.deliveries(webhook)] == [None]


async def insert_without_payload(app: Application, webhook: UUID, event: UUID) -> None:
    """Insert a pending delivery as an application may: it names its event by id alone."""
    await app.db.execute(
        "INSERT INTO webhook_deliveries (id, webhook_id, event_id, event_type, status,"
        " next_retry_at) VALUES ($1, $2, $3, 'email.opened', 'pending_retry', now())",
        *(uuid4(), webhook, event),
    )


async def test_an_inserted_number_below_zero_adds_no_attempts_to_the_schedule(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(500)
    webhook = await app.webhook(await app.tenant(), receiver.url)
    await insert_delivery(app, webhook, attempt_number=-50, next_retry_at=datetime.now(UTC))
    async with serving(database, delivery={"retry_schedule": ["1s"], "failing_backoff": "0s"}):
        await until(lambda: settled(app, webhook, "failed", 3))
        await until(lambda: nothing_pending(app))

    numbers = [row["attempt_number"] for row in await app.deliveries(webhook)]
    assert sorted(numbers) == [-50, 1, 2]
