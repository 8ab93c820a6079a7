"""What became of one event at every webhook of its tenant, over the API."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.support.api_client import ApiClient, serving_api
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.deliveries import insert_delivery, settled
from tests.support.receiver import Receiver, Reply


@pytest.fixture
async def api(database: str, tenant: UUID) -> AsyncIterator[ApiClient]:
    async with serving_api(database, tenant) as caller:
        yield caller


async def outcomes(api: ApiClient, event: UUID, **query: Any) -> dict[str, str]:
    """The outcome by the name of the webhook, in the order of the answer, over all pages."""
    found: dict[str, str] = {}
    after: dict[str, str] = {}
    while True:
        answer = await api.get(f"/api/events/{event}/outcomes", **query, **after)
        assert answer.status == 200, answer
        found |= {each["webhookName"]: each["outcome"] for each in answer.json["outcomes"]}
        if answer.json["next"] is None:
            return found
        after = {"after": answer.json["next"]}


async def test_an_event_is_explained_at_every_webhook_and_trouble_comes_first(
    api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    receiver.answer = lambda request: Reply(status=410 if request.path == "/gone" else 200)
    gone = await api.create_webhook(receiver.url + "/gone", name="Gone", clientErrorsFinal=True)
    first = await api.create_webhook(receiver.url, name="Accepts")
    await api.create_webhook(receiver.url, name="Bots", eventTypes=["campaign.*"])
    vip = {"filters": {"contact.tags": "vip"}}
    await api.create_webhook(receiver.url, name="Choosy", eventFilters=vip)
    paused = await api.create_webhook(receiver.url, name="Dormant")
    await api.post(f"/api/webhooks/{paused['id']}/pause")
    event = await app.event(tenant, {"contact": {"tags": ["new"]}})
    await until(lambda: settled(app, first["id"], "success", 1))
    await until(lambda: settled(app, gone["id"], "failed", 1))
    await api.create_webhook(receiver.url, name="Enters later")

    whole = await outcomes(api, event)

    assert whole == {
        "Gone": "exhausted",
        "Bots": "not_subscribed",
        "Choosy": "filtered",
        "Dormant": "paused",
        "Enters later": "created_later",
        "Accepts": "delivered",
    }
    assert next(iter(whole)) == "Gone"
    assert list(whole)[-1] == "Accepts"
    assert await outcomes(api, event, limit=2) == whole
    assert await outcomes(api, event, search="LATER") == {"Enters later": "created_later"}
    assert (await api.get(f"/api/events/evt_{event.hex}/outcomes")).status == 200


async def test_pending_attempts_come_before_webhooks_without_any(
    api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(status=503)
    failing = await api.create_webhook(receiver.url, name="Fails")
    await api.create_webhook(receiver.url, name="Absent", eventTypes=["campaign.*"])
    event = await app.event(tenant)
    await until(lambda: settled(app, failing["id"], "pending_retry", 1))

    answer = await api.get(f"/api/events/{event}/outcomes")

    first, second = answer.json["outcomes"]
    assert (first["outcome"], first["pending"]["waitsFor"]) == ("pending", "schedule")
    assert "503" in first["error"]
    assert second["outcome"] == "not_subscribed"


async def test_other_tenants_and_operators_webhooks_are_left_out(
    api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    other = await app.tenant()
    await api.create_webhook(receiver.url, name="Paging", scope="operator")
    event = await app.event(tenant)
    theirs = await app.webhook(other, receiver.url)
    await insert_delivery(app, theirs, event_id=event, status="failed")
    token = await api.post("/api/tenant-tokens", {"tenantId": str(tenant), "expiresIn": "1h"})
    as_tenant = api.with_token(token.json["token"])

    assert await outcomes(api, event) == {"Paging": "not_subscribed"}
    assert await outcomes(as_tenant, event) == {}
    for unknown in (uuid4(), await app.event(other)):
        assert (await api.get(f"/api/events/{unknown}/outcomes")).status == 404
