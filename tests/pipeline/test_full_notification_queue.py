"""A role keeps PostgreSQL's queue of notifications full: others publish, and get what they do."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from daemon.core.model.ids import WebhookId
from daemon.store import migrations, notification_queue
from tests.support.api_client import serving_api
from tests.support.application import Application
from tests.support.checked import checked
from tests.support.daemons import until
from tests.support.deliveries import insert_delivery, settled
from tests.support.failing import set_failing
from tests.support.postgres import run_in_new_loop, temporary_database, temporary_server
from tests.support.receiver import Receiver
from tests.support.roles import connected_as_other_role, other_role

FLOOD = "SELECT pg_notify('others', repeat('x', 7000) || n) FROM generate_series(1, 10) AS n"


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A server whose queue has 512 kB; by default it has 8 GB."""
    with temporary_server(max_notify_queue_pages="64") as url:
        yield url


@pytest.fixture
def database(server: str) -> Iterator[str]:
    with temporary_database(server) as url:
        run_in_new_loop(migrations.migrate(url))
        yield url


@asynccontextmanager
async def full_queue(url: str) -> AsyncIterator[None]:
    """A session that listens and stays in its transaction, after another one has notified."""
    async with other_role(url) as other, connected_as_other_role(url) as flooding:
        listening = await asyncpg.connect(other)
        try:
            await listening.execute("LISTEN others")
            await listening.execute("BEGIN; SELECT 1")
            with pytest.raises(asyncpg.PostgresError, match="too many notifications"):
                await _notify(flooding, 1000)
            yield
        finally:
            await listening.close()


async def _notify(connection: asyncpg.Connection, times: int) -> None:
    for _ in range(times):
        await connection.execute(FLOOD)


@pytest.mark.full
async def test_with_a_full_queue_events_and_retries_are_delivered_and_results_are_stored(
    app: Application, database: str, receiver: Receiver, tmp_path: Path
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/good")
    recovering = await app.webhook(tenant, receiver.url + "/recovering", types=["none"])
    await set_failing(app, recovering, probe_in=timedelta(0))
    async with full_queue(database):
        usage = await notification_queue.usage(app.db)
        _, messages = await checked(tmp_path, database)
        async with serving_api(database, tenant) as api:
            await app.event(tenant)
            await until(lambda: settled(app, webhook, "success", 1))
            await insert_delivery(app, recovering, next_retry_at=None, event_created_at=None)
            await until(lambda: settled(app, recovering, "success", 1))
            [delivered] = await app.deliveries(webhook)
            retried = await api.post(f"/api/deliveries/{delivered['id']}/retry")
            await until(lambda: settled(app, webhook, "success", 2))

    assert usage > 0.9
    assert [line for line in messages["warning"] if line.startswith("notifications: ")]
    assert retried.status < 300
    assert not (await app.health(recovering))["is_failing"]


async def test_below_its_half_the_queue_is_used(app: Application, receiver: Receiver) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    received: list[str] = []
    await app.db.add_listener("webhookd_events", lambda *_: received.append("event"))
    await app.db.add_listener("webhookd_due", lambda *_: received.append("due"))

    await app.event(tenant)
    await insert_delivery(app, webhook, event_created_at=None)
    await notification_queue.notify_due(app.db, [WebhookId(webhook)])
    await until(lambda: len(received) == 3)

    assert received == ["event", "due", "due"]
    assert await notification_queue.usage(app.db) < 0.1
