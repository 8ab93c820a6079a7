"""A flood of notifications costs the daemon little, and not the lock that shows it is alive."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import asyncpg
import pytest

from daemon.core.model.ids import TenantId, WebhookId
from daemon.pipeline import listener as listener_module
from daemon.store import notification_channel
from daemon.store.lanes import tenants_of
from daemon.store.session import Connection
from tests.pipeline.test_listener import Listening, listening, notify
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver

FLOOD = "SELECT pg_notify($1, gen_random_uuid()::text) FROM generate_series(1, $2)"
LONG_FLOOD = "SELECT pg_notify($1, repeat('x', 7000) || n) FROM generate_series(1, $2) AS n"
LOCK_HOLDER = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = 1"


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notification_channel, "BURST", 100.0)
    monkeypatch.setattr(notification_channel, "PER_SECOND", 0.0)
    monkeypatch.setattr(notification_channel, "PAUSE_SECONDS", 1.0)


def counted(parts: Listening, monkeypatch: pytest.MonkeyPatch) -> list[WebhookId]:
    """The ids that the listener handles from now on."""
    handled: list[WebhookId] = []
    known = parts.listener._waker.announce_if_known

    def announce_if_known(webhook_id: WebhookId) -> bool:
        handled.append(webhook_id)
        return known(webhook_id)

    monkeypatch.setattr(parts.listener._waker, "announce_if_known", announce_if_known)
    return handled


async def flood(app: Application, channel: str, count: int, *, statement: str = FLOOD) -> None:
    await app.db.execute(statement, channel, count)


@pytest.mark.usefixtures("small_limits")
async def test_what_is_beyond_the_limit_is_not_handled(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening(database) as parts:
        handled = counted(parts, monkeypatch)
        await flood(app, "webhookd_due", 5000)
        await until(lambda: parts.listener._notifications.is_paused("webhookd_due"))
        await until(lambda: not parts.listener._notifications.is_paused("webhookd_due"))

        assert len(handled) == 100


@pytest.mark.usefixtures("small_limits")
async def test_a_flooded_channel_is_heard_again_after_a_pause_and_the_daemon_keeps_its_lock(
    app: Application, database: str
) -> None:
    webhook = await app.webhook(await app.tenant(), "https://receiver.example/")
    async with listening(database) as parts:
        await until(lambda: app.db.fetchval(LOCK_HOLDER))
        before = await app.db.fetchval(LOCK_HOLDER)
        await flood(app, "webhookd_due", 5000)

        async def is_heard() -> bool:
            await notify(app, webhook)
            return parts.lanes.ready == 1

        await until(is_heard, every=0.1)

        assert await app.db.fetchval(LOCK_HOLDER) == before


@pytest.mark.usefixtures("small_limits")
async def test_while_the_channel_of_events_is_flooded_events_are_looked_for(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notification_channel, "PAUSE_SECONDS", 600.0)
    async with listening(database) as parts:
        wake, channels = parts.listener._wake_fanout, parts.listener._notifications
        await flood(app, "webhookd_events", 5000)
        await until(lambda: channels.is_paused("webhookd_events"))
        for _ in range(5):
            wake.clear()
            await until(wake.is_set)


@pytest.mark.usefixtures("small_limits")
async def test_events_are_looked_for_once_a_channel_is_heard_again(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with listening(database) as parts:
        wake, channels = parts.listener._wake_fanout, parts.listener._notifications
        resume, resumed = channels.resume, list[bool]()

        async def resume_and_clear() -> bool:
            if is_heard := await resume():
                wake.clear()  # what woke it until now
                resumed.append(is_heard)
            return is_heard

        monkeypatch.setattr(channels, "resume", resume_and_clear)
        await flood(app, "webhookd_events", 5000)
        await until(lambda: resumed)
        await until(wake.is_set)


@pytest.mark.usefixtures("small_limits")
async def test_a_flood_of_one_channel_leaves_the_other_alone(
    app: Application, database: str
) -> None:
    async with listening(database) as parts:
        await flood(app, "webhookd_due", 5000)
        channels = parts.listener._notifications
        await until(lambda: channels.is_paused("webhookd_due"))
        parts.listener._wake_fanout.clear()
        await app.db.execute("NOTIFY webhookd_events")
        await until(parts.listener._wake_fanout.is_set)

        assert not channels.is_paused("webhookd_events")


@pytest.mark.usefixtures("small_limits")
async def test_long_payloads_count_as_several_notifications(
    app: Application, database: str
) -> None:
    async with listening(database) as parts:
        await flood(app, "webhookd_due", 20, statement=LONG_FLOOD)
        await until(lambda: parts.listener._notifications.is_paused("webhookd_due"))


async def test_unknown_webhooks_are_looked_up_some_hundreds_at_a_time(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[int] = []

    async def counting(
        db: Connection, webhook_ids: Collection[WebhookId]
    ) -> dict[WebhookId, TenantId]:
        looked_up.append(len(webhook_ids))
        return await tenants_of(db, webhook_ids)

    monkeypatch.setattr(listener_module, "tenants_of", counting)
    async with listening(database):
        await flood(app, "webhookd_due", 3000)
        await until(lambda: sum(looked_up) == 3000)

    assert max(looked_up) <= 500


async def test_ten_thousand_webhooks_that_become_due_in_one_transaction_are_all_announced(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    await app.db.execute(
        "INSERT INTO webhooks (id, tenant_id, name, endpoint_url, secret_key)"
        " SELECT gen_random_uuid(), $1, 'a webhook', 'https://receiver.example/', 'whsec_abab'"
        "   FROM generate_series(1, 10000)",
        tenant,
    )
    async with listening(database) as parts:
        await app.db.execute("SELECT pg_notify('webhookd_due', id::text) FROM webhooks")
        await until(lambda: parts.lanes.ready == 10_000)

        assert not parts.listener._notifications.is_paused("webhookd_due")


@asynccontextmanager
async def flooding(database: str, *channels: str) -> AsyncIterator[None]:
    """Sessions that notify without a pause."""
    stop = asyncio.Event()

    async def notify_on(channel: str) -> None:
        connection = await asyncpg.connect(database)
        try:
            while not stop.is_set():
                await connection.execute(FLOOD, channel, 2000)
        finally:
            await connection.close()

    async with asyncio.TaskGroup() as tasks:
        for channel in channels:
            tasks.create_task(notify_on(channel))
        yield
        stop.set()


async def test_events_arrive_while_both_channels_are_flooded(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving(database), flooding(database, "webhookd_due", "webhookd_events"):
        for _ in range(10):
            await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 10))
