"""The delay of first attempts, measured by the database's own times."""

from datetime import UTC, datetime, timedelta

from prometheus_client.parser import text_string_to_metric_families

from daemon.service import Service
from tests.support.application import Application
from tests.support.daemons import metrics_of, serving, until
from tests.support.deliveries import insert_delivery, settled
from tests.support.receiver import Receiver

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
NAME = "webhookd_commit_to_send_seconds"


async def delays(service: Service) -> tuple[float, float]:
    """The number of delays and their sum in seconds."""
    families = text_string_to_metric_families(await metrics_of(service))
    samples = {each.name: each.value for family in families for each in family.samples}
    return samples[f"{NAME}_count"], samples[f"{NAME}_sum"]


async def test_a_back_dated_event_is_not_a_late_one(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving(database) as service:
        await app.event(tenant, created_at=LONG_AGO)
        await until(lambda: settled(app, webhook, "success", 1))

        count, seconds = await delays(service)

    assert count == 1
    assert seconds < 60


async def test_the_wait_for_a_daemon_counts(
    app: Application, database: str, receiver: Receiver
) -> None:
    """In the inbox, and as a pending row; rows of the application say nothing about that."""
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    # Of its own: where others are due, the event's attempt might become a row, too.
    of_rows = await app.webhook(await app.tenant(), receiver.url)
    await app.event(tenant)
    await app.db.execute("UPDATE webhook_event_inbox SET arrived_at = now() - interval '1 hour'")
    now = datetime.now(UTC)
    await insert_delivery(
        app,
        of_rows,
        attempt_number=1,
        next_retry_at=now,
        attempted_at=now - timedelta(hours=2),
    )
    await insert_delivery(
        app,
        of_rows,
        attempt_number=1,
        next_retry_at=now,
        attempted_at=LONG_AGO,
        event_created_at=None,
    )
    async with serving(database) as service:
        await until(lambda: settled(app, webhook, "success", 1))
        await until(lambda: settled(app, of_rows, "success", 2))

        count, seconds = await delays(service)

    assert count == 2
    assert 3 * 3600 <= seconds < 3 * 3600 + 600
