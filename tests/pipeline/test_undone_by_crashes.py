"""What a crash of PostgreSQL undoes is done once more, and nothing else may be undone."""

import asyncio
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from daemon.pipeline import first_attempts
from daemon.pipeline.delivery_inserter import DeliveryInserter
from daemon.store import deliveries
from tests.faults.accounting import miscounted
from tests.support.application import Application
from tests.support.daemons import metrics_of, serving, until
from tests.support.deliveries import inbox_is_empty, insert_delivery, settled
from tests.support.first_attempts import publish, times
from tests.support.receiver import Receiver, Reply

UNDO_CLAIM = "UPDATE webhook_deliveries SET leased_until = NULL WHERE status = 'pending_retry'"


async def test_of_two_attempts_of_one_row_whose_results_come_together_one_counts(
    app: Application, database: str, receiver: Receiver
) -> None:
    webhook = await app.webhook(await app.tenant(), receiver.url)
    async with serving(database) as service:
        warm = asyncio.Event()
        receiver.answer = lambda _: Reply(when=warm)
        for _ in range(2):  # as many connections stay open
            await insert_delivery(app, webhook, next_retry_at=None)
        await until(lambda: len(receiver.received) == 2)
        warm.set()
        await until(lambda: settled(app, webhook, "success", 2))

        both = asyncio.Event()
        receiver.answer = lambda _: Reply(500, when=both)
        await insert_delivery(app, webhook, next_retry_at=None)
        await until(lambda: len(receiver.received) == 3)
        await app.db.execute(UNDO_CLAIM)
        await until(lambda: len(receiver.received) == 4)
        async with app.db.transaction():
            await app.db.execute("SELECT FROM webhooks WHERE id = $1 FOR UPDATE", webhook)
            both.set()
            await metrics_of(service, showing="webhookd_held_results 2.0")
        await until(lambda: settled(app, webhook, "failed", 1))
        await metrics_of(service, showing="webhookd_held_results 0.0")
        await metrics_of(service, showing="webhookd_leases_lost_total 1.0")

    assert await miscounted(app) == []
    assert (await app.health(webhook))["consecutive_failures"] == 1


async def slow_and_failing(app: Application, receiver: Receiver) -> tuple[UUID, UUID, UUID]:
    """A tenant with two webhooks; one's first attempt is slow, the other gets a row meanwhile."""
    receiver.answer = lambda it: Reply(after=1.0 if it.path == "/slow" else 0.0)
    tenant = await app.tenant()
    slow = await app.webhook(tenant, receiver.url + "/slow")
    failing = await app.webhook(tenant, receiver.url + "/failing")
    await app.db.execute("UPDATE webhooks SET is_failing = TRUE WHERE id = $1", failing)
    return tenant, slow, failing


async def test_rows_of_an_event_that_stays_in_the_inbox_are_durable(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last result removes the event, and then nothing would insert these rows again."""
    original, durable = deliveries.insert_all, dict[bool, str]()

    async def insert_all(db: Any, *args: Any, **options: Any) -> Any:
        inserted = await original(db, *args, **options)
        durable[all(options["ends"])] = await db.fetchval("SHOW synchronous_commit")
        return inserted

    monkeypatch.setattr(deliveries, "insert_all", insert_all)
    tenant, slow, failing = await slow_and_failing(app, receiver)
    async with serving(database):
        await publish(app, tenant, 1)
        await until(lambda: settled(app, slow, "success", 1))
        await until(lambda: settled(app, failing, "success", 1))

    assert durable == {False: "on"}


@pytest.mark.parametrize("locked_times", [1, 12])
async def test_rows_of_an_event_that_is_locked_are_inserted_later(
    app: Application,
    database: str,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    locked_times: int,
) -> None:
    """As soon as it is free, however often it was found locked: its lease is not awaited."""
    monkeypatch.setattr(first_attempts, "LONGEST_PAUSE_SECONDS", 0.05)
    original = DeliveryInserter.insert
    other = await asyncpg.connect(database)
    locked: list[int] = []

    async def insert(self: DeliveryInserter, matched: Any, **options: Any) -> Any:
        async with other.transaction():
            if len(locked) < locked_times:
                locked.append(len(await other.fetch("SELECT FROM webhook_event_inbox FOR UPDATE")))
            return await original(self, matched, **options)

    monkeypatch.setattr(DeliveryInserter, "insert", insert)
    tenant, slow, failing = await slow_and_failing(app, receiver)
    async with serving(database):
        await publish(app, tenant, 1)
        await until(lambda: receiver.at("/slow"))
        await until(lambda: settled(app, slow, "success", 1))
        await until(lambda: settled(app, failing, "success", 1), within=10)
        await until(lambda: inbox_is_empty(app))
    await other.close()

    assert locked == [1] * locked_times
    assert times(receiver, "/slow") == times(receiver, "/failing") == {0: 1}
