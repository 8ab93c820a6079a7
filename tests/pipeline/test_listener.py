"""Notifications name a webhook; its lane is that of its tenant."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from structlog.testing import capture_logs

from daemon.core.model.ids import WebhookId
from daemon.core.scheduling.lanes import Lanes
from daemon.pipeline import listener as listener_module
from daemon.pipeline.lane_waker import LaneWaker
from daemon.pipeline.listener import Listener
from daemon.runtime.loop import Heartbeats, run_loop
from daemon.runtime.metrics import Metrics
from daemon.store.database import Database
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.replays import request_for, start


class Listening:
    """A listener and its lanes."""

    def __init__(self, database: Database) -> None:
        self.lanes = Lanes(slots=100, widest=10)
        self.listener = Listener(
            database,
            Metrics(),
            wake_fanout=asyncio.Event(),
            waker=LaneWaker(self.lanes),
            daemon_key=1,
        )

    def tenant_of(self, webhook: UUID) -> UUID | None:
        return self.lanes.tenant_of(WebhookId(webhook))


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[Listening]:
    database = Database(url, size=2)
    await database.open()
    parts, stop = Listening(database), asyncio.Event()
    running = asyncio.create_task(run_loop(parts.listener, stop=stop, heartbeats=Heartbeats()))
    await until(lambda: parts.listener._notifications.is_open)
    try:
        yield parts
    finally:
        stop.set()
        parts.listener.wake.set()
        await running
        await parts.listener.close()
        await database.close(within=timedelta(seconds=1))


async def notify(app: Application, *payloads: object) -> None:
    async with app.db.transaction():
        for payload in payloads:
            await app.db.execute("SELECT pg_notify('webhookd_due', $1)", str(payload))


async def test_webhooks_that_are_notified_wait_in_the_line_of_their_tenant(
    app: Application, database: str
) -> None:
    tenants = [await app.tenant() for _ in range(2)]
    webhooks = {
        await app.webhook(tenant, "https://receiver.example/"): tenant
        for tenant in tenants
        for _ in range(3)
    }
    async with listening(database) as parts:
        await notify(app, *webhooks)
        await until(lambda: parts.lanes.ready == len(webhooks))

        assert {webhook: parts.tenant_of(webhook) for webhook in webhooks} == webhooks


async def test_notifications_of_webhooks_that_do_not_exist_make_no_lanes(
    app: Application, database: str
) -> None:
    webhook = await app.webhook(await app.tenant(), "https://receiver.example/")
    async with listening(database) as parts:
        await notify(app, *(uuid4() for _ in range(50)), "no id", webhook)
        await until(lambda: parts.lanes.ready == 1)

        assert parts.tenant_of(webhook) is not None
        assert parts.listener._unknown == set()


async def test_a_flood_of_unknown_webhooks_takes_a_bounded_memory(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "MAX_UNKNOWN", 10)
    webhook = await app.webhook(await app.tenant(), "https://receiver.example/")
    async with listening(database) as parts:
        for _ in range(50):
            parts.listener._on_due(str(uuid4()))

        assert len(parts.listener._unknown) == 10
        await until(lambda: not parts.listener._unknown)
        await notify(app, webhook)
        await until(lambda: parts.lanes.ready == 1)


async def test_a_new_replay_is_announced_once_it_is_committed(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, "https://receiver.example/")
    async with listening(database) as parts:
        await start(app, request_for(webhook, tenant=tenant))
        await until(parts.listener.replay_created.is_set)


async def test_another_session_that_took_the_daemon_s_lock_is_logged_once_and_its_end_too(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "LOCK_SECONDS", 0.05)
    await app.db.execute("SELECT pg_advisory_lock(1)")

    with capture_logs() as logs:
        async with listening(database) as parts:
            for _ in range(3):
                tried = parts.listener._check_at
                await until(lambda before=tried: parts.listener._check_at > before)
            await app.db.execute("SELECT pg_advisory_unlock(1)")
            await until(lambda: logs[-1]["event"] == "daemon_lock.free")

    taken, free = (each for each in logs if each["event"].startswith("daemon_lock."))
    pid = await app.db.fetchval("SELECT pg_backend_pid()")
    assert taken["log_level"] == "warning"
    assert taken["holder"].startswith(f"pid {pid} (role ")
    assert free["event"] == "daemon_lock.free"
