"""Claims that a crash of PostgreSQL undoes: the rows are claimed and attempted once more."""

import asyncio

from daemon.service import Service
from tests.faults.accounting import miscounted
from tests.support.application import Application
from tests.support.daemons import metrics_of, serving, until
from tests.support.deliveries import insert_delivery, settled
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
            await until(lambda: has_metric(service, "webhookd_held_results 2.0"))
        await until(lambda: settled(app, webhook, "failed", 1))
        await until(lambda: has_metric(service, "webhookd_held_results 0.0"))
        lost = await has_metric(service, "webhookd_leases_lost_total 1.0")

    assert await miscounted(app) == []
    assert (await app.health(webhook))["consecutive_failures"] == 1
    assert lost


async def has_metric(service: Service, line: str) -> bool:
    return line in (await metrics_of(service)).splitlines()
