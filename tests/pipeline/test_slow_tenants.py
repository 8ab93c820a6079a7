"""Tenants of which the database takes long to find the webhooks get all that others get."""

from collections.abc import Sequence
from typing import Any

import pytest

from daemon.core.model.ids import TenantId
from daemon.pipeline import inbox_reader
from daemon.store import event_inbox
from daemon.store.session import Connection
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import inbox_is_empty, settled
from tests.support.receiver import Receiver


class Scans:
    """What is found of a tenant's webhooks takes long; knows which tenants are left out."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.slow: set[TenantId] = set()
        self._original = event_inbox.scan
        monkeypatch.setattr(inbox_reader, "SLOW_SECONDS", 0.0)
        monkeypatch.setattr(event_inbox, "scan", self._scan)

    async def _scan(
        self, db: Connection, *args: Any, slow: Sequence[TenantId], **options: Any
    ) -> Any:
        self.slow.update(slow)
        scan = await self._original(db, *args, slow=slow, **options)
        assert not scan.leased.took.keys() & set(slow)
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
