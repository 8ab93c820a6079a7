"""
Tenants whose webhooks have many dead versions get all that others get, and cost them nothing.

Each row that is inserted for such a webhook reads the versions too, for its foreign key.
"""

import time
from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

import pytest

from daemon.core.model.ids import TenantId, WebhookId
from daemon.store import deliveries, endpoint_health, event_inbox
from daemon.store.leased_events import LeasedEvent
from daemon.store.session import Connection
from daemon.wiring import pipeline
from tests.pipeline.test_dispatcher import (
    ScriptedAttempts,
    deliver,
    has_delivered,
    insert_pending,
    running,
)
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import inbox_is_empty, settled
from tests.support.receiver import Receiver

URL = "https://receiver.example/"


class Scans:
    """What is found of a tenant's webhooks takes long; knows which tenants are left out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.slow: set[TenantId] = set()
        self._original = event_inbox.scan
        monkeypatch.setattr(pipeline, "SLOW_PAGES", 0)
        monkeypatch.setattr(event_inbox, "scan", self._scan)

    async def _scan(
        self, db: Connection, *args: Any, slow: Sequence[TenantId], **options: Any
    ) -> Any:
        self.slow.update(slow)
        scan = await self._original(db, *args, slow=slow, **options)
        assert not scan.leased.pages.keys() & set(slow)
        return scan


async def test_events_of_a_slow_tenant_go_to_its_webhooks_as_they_are(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    scans = Scans(monkeypatch)
    tenant, other = await app.tenant(), await app.tenant()
    first = await app.webhook(tenant, f"{receiver.url}/first")
    of_other = await app.webhook(other, f"{receiver.url}/other")
    async with serving(database):
        for each in (tenant, other):
            await app.event(each)
        await until(lambda: settled(app, first, "success", 1))
        await app.event(tenant)
        await until(lambda: settled(app, first, "success", 2))
        assert tenant in scans.slow

        second = await app.webhook(tenant, f"{receiver.url}/second")
        await app.db.execute("UPDATE webhooks SET event_types = '{a.*}' WHERE id = $1", first)
        for each in (tenant, other):
            await app.event(each)
        await until(lambda: settled(app, second, "success", 1))
        await until(lambda: settled(app, of_other, "success", 2))
        await until(lambda: inbox_is_empty(app))

    assert await settled(app, first, "success", 2)
    assert len(receiver.at("/first")) == 2
    assert len(receiver.at("/second")) == 1


async def test_what_is_inserted_for_slow_tenants_is_inserted_apart(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    Scans(monkeypatch)
    together: list[set[TenantId]] = []
    original = deliveries.insert_all

    async def insert_all(
        db: Connection, events: Sequence[LeasedEvent], *args: Any, **kw: Any
    ) -> Any:
        together.append({each.event.tenant_id for each in events})
        return await original(db, events, *args, **kw)

    monkeypatch.setattr(deliveries, "insert_all", insert_all)
    tenants = [await app.tenant() for _ in range(3)]
    webhooks = [await app.webhook(each, f"{receiver.url}/a") for each in tenants]
    async with serving(database):
        for number in range(1, 4):
            for each in tenants:
                await app.event(each)
            for webhook in webhooks:
                await until(partial(settled, app, webhook, "success", number))

    assert len(receiver.at("/a")) == 9
    assert len(together) >= 6
    assert all(len(each) == 1 for each in together)


async def test_results_of_a_slow_tenant_are_stored_apart_from_others(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, *others = [WebhookId(await app.webhook(await app.tenant(), URL)) for _ in range(4)]
    tenants = {row["id"]: row["tenant_id"] for row in await app.db.fetch("SELECT * FROM webhooks")}
    together: list[set[WebhookId]] = []
    original = endpoint_health.lock_health  # the first statement of each transaction

    async def lock_health(db: Connection, ids: Collection[WebhookId], **kw: Any) -> Any:
        together.append(set(ids))
        return await original(db, ids, **kw)

    monkeypatch.setattr(endpoint_health, "lock_health", lock_health)
    async with running(database, ScriptedAttempts(deliver)) as parts:
        parts.slow.note(TenantId(tenants[slow]), 1, now=time.monotonic())
        for webhook in (slow, *others):
            await insert_pending(app, webhook, 5)
            parts.waker.announce(webhook, 0.0, None, tenant_id=TenantId(tenants[webhook]))
        await until(lambda: has_delivered(app, 20))

    assert {slow} in together
    assert all(each == {slow} for each in together if slow in each)


@pytest.mark.parametrize(
    "change", ["UPDATE webhooks SET is_active = false", "DELETE FROM webhooks"]
)
async def test_events_of_a_slow_tenant_without_webhooks_leave_the_inbox(
    app: Application,
    database: str,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    change: str,
) -> None:
    scans = Scans(monkeypatch)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, f"{receiver.url}/a")
    async with serving(database):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))
        await app.db.execute(f"{change} WHERE id = $1", webhook)
        for _ in range(3):
            await app.event(tenant)
        await until(lambda: inbox_is_empty(app))

    assert tenant in scans.slow
    assert len(receiver.at("/a")) == 1
