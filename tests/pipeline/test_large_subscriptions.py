"""Tenants whose filters take too much memory to be kept get what they want, as all others do."""

from typing import Any

import pytest

from daemon.core.model.ids import WebhookId
from daemon.pipeline import subscription_cache, tenant_fanout
from daemon.store import subscriptions
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import inbox_is_empty, settled
from tests.support.receiver import Receiver

VALUES = [f"{number:04}" for number in range(1000)]


async def test_events_go_to_the_webhooks_that_want_them_though_their_filters_are_not_kept(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription_cache, "TENANT_BYTES", 100_000)
    monkeypatch.setattr(tenant_fanout, "RENEWED_SECONDS", -1.0)
    reads = 0
    original = subscriptions.active_ids

    async def active_ids(*arguments: Any) -> list[WebhookId]:
        nonlocal reads
        reads += 1
        return await original(*arguments)

    monkeypatch.setattr(subscriptions, "active_ids", active_ids)
    tenant, other = await app.tenant(), await app.tenant()
    webhooks = [
        await app.webhook(
            tenant,
            f"{receiver.url}/{at}",
            filters={"workspaces": VALUES[100 * at : 100 * at + 900]},
        )
        for at in range(2)
    ]
    typed = await app.webhook(tenant, receiver.url, types=["a.*"], filters={"workspaces": VALUES})
    elsewhere = await app.webhook(other, receiver.url + "/other")
    events = [
        await app.event(tenant, {"workspace_id": VALUES[number]}) for number in (0, 99, 100, 999)
    ]
    events += [await app.event(tenant, {"workspace_id": "none"}) for _ in range(50)]
    async with serving(database):
        await app.event(other)
        await until(lambda: settled(app, elsewhere, "success", 1))
        await until(lambda: inbox_is_empty(app))
        await until(lambda: settled(app, webhooks[0], "success", 3))
        await until(lambda: settled(app, webhooks[1], "success", 2))

    got = [{row["event_id"] for row in await app.deliveries(each)} for each in webhooks]
    assert got == [set(events[:3]), set(events[2:4])]
    assert await app.deliveries(typed) == []
    assert reads < 20  # for many events at once


async def test_a_webhook_that_was_changed_gets_events_by_its_new_filter(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription_cache, "TENANT_BYTES", 100_000)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url, filters={"workspaces": VALUES})
    async with serving(database):
        await app.event(tenant, {"workspace_id": VALUES[0]})
        await until(lambda: settled(app, webhook, "success", 1))
        await app.db.execute(
            "UPDATE webhooks SET event_filters = $2 WHERE id = $1", webhook, '{"workspaces": ["b"]}'
        )
        await app.event(tenant, {"workspace_id": VALUES[0]})
        await app.event(tenant, {"workspace_id": "b"})
        await until(lambda: settled(app, webhook, "success", 2))
        await until(lambda: inbox_is_empty(app))

    assert len(await app.deliveries(webhook)) == 2
