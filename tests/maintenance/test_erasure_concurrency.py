"""Erasure while other transactions lock rows, daemons deliver, and runs are interrupted."""

import asyncio
from uuid import UUID

import asyncpg
import pytest

from daemon.core.errors import WebhookdError
from daemon.core.model.erasure import ErasureCounts
from daemon.maintenance.erasure_progress import Progress
from tests.support.aged_rows import count_in, ids_in, stored_delivery, stored_event
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import settled
from tests.support.erasure import about, erased, erasure_of
from tests.support.receiver import Receiver, Reply


async def test_another_run_finishes_an_interrupted_erasure(
    app: Application, database: str, tenant: UUID, webhook: UUID
) -> None:
    events = [await stored_event(app, tenant, data=about("cont_1")) for _ in range(60)]
    for event in events:
        await stored_delivery(app, webhook, event_id=event, payload=None)

    def interrupt(progress: Progress) -> None:
        if progress.counts.events:
            raise InterruptedError

    async with erasure_of(database, tenant, "cont_1", on_progress=interrupt) as erasure:
        with pytest.raises(InterruptedError):
            await erasure.erase()
    between = await count_in(app, "webhook_events")
    await erased(database, tenant, "cont_1")

    assert between == 10
    assert await count_in(app, "webhook_events") == 0
    assert await count_in(app, "webhook_deliveries") == 0


@pytest.mark.parametrize("contact", ["cont_1", None])
async def test_only_locked_rows_are_waited_for(
    app: Application, database: str, tenant: UUID, webhook: UUID, contact: str | None
) -> None:
    held = await stored_delivery(app, webhook, payload=about("cont_1"))
    await stored_delivery(app, webhook, payload=about("cont_1"))
    locker = await asyncpg.connect(database)
    async with erasure_of(database, tenant, contact) as erasure:
        async with locker.transaction():
            await locker.execute("SELECT 1 FROM webhook_deliveries WHERE id = $1 FOR UPDATE", held)
            erasing = asyncio.create_task(erasure.erase())
            await until(lambda: is_only_one(app, held))
        counts = await erasing
    await locker.close()

    assert counts.deliveries == 2


# A sequence keeps its number when the transaction is rolled back.
DEADLOCK_ONCE = """
    CREATE SEQUENCE tries;
    CREATE FUNCTION deadlock_once() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('tries') = 1 THEN
            RAISE deadlock_detected;
        END IF;
        RETURN OLD;
    END $$;
    CREATE TRIGGER deadlock_once BEFORE DELETE ON webhook_events
        FOR EACH ROW EXECUTE FUNCTION deadlock_once();
"""


async def test_a_step_that_deadlocks_is_done_again(
    app: Application, database: str, tenant: UUID
) -> None:
    for _ in range(3):
        await stored_event(app, tenant, data=about("cont_1"))
    await app.db.execute(DEADLOCK_ONCE)

    counts = await erased(database, tenant, "cont_1")

    assert counts.events == 3
    assert await app.db.fetchval("SELECT last_value FROM tries") == 4


async def is_only_one(app: Application, delivery: UUID) -> bool:
    return await ids_in(app, "webhook_deliveries") == {delivery}


async def test_nothing_is_erased_before_a_locked_webhook_is_paused(
    app: Application, database: str, tenant: UUID, webhook: UUID
) -> None:
    event, delivery = await stored_event(app, tenant), await stored_delivery(app, webhook)
    other = await app.webhook(tenant, "https://example.com")
    result_writer = await asyncpg.connect(database)
    async with erasure_of(database, tenant) as erasure:
        async with result_writer.transaction():
            await result_writer.execute("SELECT 1 FROM webhooks WHERE id = $1 FOR UPDATE", webhook)
            erasing = asyncio.create_task(erasure.erase())
            await until(lambda: is_paused(app, other))
            await asyncio.wait([erasing], timeout=0.3)
            during = await ids_in(app, "webhook_events"), await ids_in(app, "webhook_deliveries")
        counts = await erasing
    await result_writer.close()

    assert during == ({event}, {delivery})
    assert counts == ErasureCounts(events=1, deliveries=1, webhooks=2)


async def is_paused(app: Application, webhook: UUID) -> bool:
    return not await app.db.fetchval("SELECT is_active FROM webhooks WHERE id = $1", webhook)


@pytest.mark.parametrize(
    "table",
    [
        "webhook_events",
        pytest.param("webhook_event_inbox", marks=pytest.mark.full),
        pytest.param("webhooks", marks=pytest.mark.full),
    ],
)
async def test_rows_that_stay_locked_are_an_error_and_another_run_erases_the_rest(
    app: Application, database: str, tenant: UUID, webhook: UUID, table: str
) -> None:
    await stored_event(app, tenant, waiting=True)
    await stored_delivery(app, webhook)
    locker = await asyncpg.connect(database)
    async with erasure_of(database, tenant, patience_seconds=0.2) as erasure, locker.transaction():
        await locker.execute(f"SELECT 1 FROM {table} FOR UPDATE")

        with pytest.raises(WebhookdError, match="keeps some of the rows locked"):
            await erasure.erase()
    await locker.close()

    assert await erased(database, tenant)
    assert await count_in(app, "webhooks") == 0


async def test_the_next_attempt_of_a_result_that_is_being_stored_is_erased(
    app: Application, database: str, tenant: UUID, webhook: UUID
) -> None:
    event = await stored_event(app, tenant, data=about("cont_1"))
    first = await stored_delivery(
        app, webhook, event_id=event, payload=about("cont_1"), status="pending_retry"
    )
    result_writer = await asyncpg.connect(database)
    async with erasure_of(database, tenant, "cont_1") as erasure:
        async with result_writer.transaction():
            await result_writer.execute(
                "UPDATE webhook_deliveries SET status = 'failed' WHERE id = $1", first
            )
            await result_writer.execute(
                "INSERT INTO webhook_deliveries (webhook_id, event_id, payload, event_created_at,"
                " next_retry_at) SELECT webhook_id, event_id, payload, now(), next_retry_at"
                " FROM webhook_deliveries WHERE id = $1",
                first,
            )
            erasing = asyncio.create_task(erasure.erase())
            await asyncio.wait([erasing], timeout=0.3)
        counts = await erasing
    await result_writer.close()

    assert counts == ErasureCounts(events=1, deliveries=2, pending=1)
    assert await count_in(app, "webhook_deliveries") == 0


async def test_erased_pending_deliveries_are_never_sent_and_others_are(
    app: Application, database: str, receiver: Receiver, tenant: UUID
) -> None:
    webhook = await app.webhook(tenant, receiver.url)
    for contact in ("cont_1", "cont_2"):
        await app.event(tenant, {"contact": {"id": contact}})
        await stored_delivery(app, webhook, payload=about({"id": contact}), status="pending_retry")
    await app.db.execute("UPDATE webhook_deliveries SET next_retry_at = now()")

    await erased(database, tenant, "cont_1")

    async with serving(database):
        await until(lambda: settled(app, webhook, "success", 2))
    assert {request.event["data"]["contact"]["id"] for request in receiver.received} == {"cont_2"}


async def test_the_result_of_a_delivery_erased_in_flight_is_dropped(
    app: Application, database: str, receiver: Receiver, tenant: UUID
) -> None:
    is_erased = asyncio.Event()
    receiver.answer = lambda it: Reply(500, when=is_erased) if b"cont_1" in it.body else Reply()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving(database, delivery={"retry_schedule": ["100ms"] * 5}):
        await app.event(tenant, {"contact": "cont_1"})
        await until(lambda: len(receiver.received) == 1)

        counts = await erased(database, tenant, "cont_1")
        is_erased.set()
        await until(lambda: receiver.open_now == 0)

        await app.event(tenant, {"contact": "cont_2"})
        await until(lambda: settled(app, webhook, "success", 1))

    health = await app.health(webhook)
    # Its first attempt has no row before its result.
    assert counts == ErasureCounts(events=1, waiting=1)
    assert [b"cont_1" in request.body for request in receiver.received] == [True, False]
    assert (health["consecutive_failures"], health["last_failure_at"]) == (0, None)
    assert len(await app.deliveries(webhook)) == 1


@pytest.mark.parametrize("contact", ["cont_1", pytest.param(None, marks=pytest.mark.full)])
async def test_nothing_remains_although_a_daemon_delivers_and_fails_meanwhile(
    app: Application, database: str, receiver: Receiver, tenant: UUID, contact: str | None
) -> None:
    receiver.answer = lambda _: Reply(500)
    other = await app.tenant()
    other_webhook = await app.webhook(other, receiver.url + "/other")
    for n in range(3):
        await app.webhook(tenant, f"{receiver.url}/{n}")
    # It lasts for as long as erasing takes on a busy machine.
    waits = ["10ms"] * 25 + ["1s"] * 25
    schedule = {"retry_schedule": waits, "failing_after": 1000, "pause_after": 100_000}
    async with serving(database, delivery=schedule):
        for _ in range(60):
            await app.event(tenant, {"contact": "cont_1"})
        await app.event(other, {"contact": "cont_1"})
        await until(lambda: len(receiver.received) > 100)

        await erased(database, tenant, contact)

        left = await app.db.fetch(
            "SELECT 1 FROM webhook_deliveries WHERE webhook_id <> $1"
            " UNION ALL SELECT 1 FROM webhook_events WHERE tenant_id = $2",
            other_webhook,
            tenant,
        )
        await until(lambda: settled(app, other_webhook, "failed", 3))
        receiver.answer = lambda _: Reply(200)
        await until(lambda: settled(app, other_webhook, "success", 1))

    assert left == []
