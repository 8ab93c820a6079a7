"""Holds over the API: operators hold and release, tenants see it, and nothing is sent at once."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest

from tests.support.api_client import ApiClient, serving_api
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.deliveries import insert_delivery, nothing_pending, settled
from tests.support.receiver import Receiver

ACTIONS = "SELECT action, actor, tenant_id, object_id, reason FROM webhook_audit ORDER BY at"


@pytest.fixture
async def api(database: str, tenant: UUID) -> AsyncIterator[ApiClient]:
    async with serving_api(database, tenant) as caller:
        yield caller


async def test_a_tenant_is_held_and_released_and_what_goes_at_once_is_refused(
    api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    webhook = UUID((await api.create_webhook(receiver.url + "/hook"))["id"])
    failed = await insert_delivery(app, webhook, status="failed", next_retry_at=None)
    held = (await api.post("/api/hold", {"reason": "their bill"})).json
    again = (await api.post("/api/hold", {"reason": "another"})).json
    event = await app.event(tenant)
    await until(lambda: settled(app, webhook, "pending_retry", 1))
    tested = await api.post(f"/api/webhooks/{webhook}/test")
    probed = await api.post(f"/api/webhooks/{webhook}/probe")
    retried = await api.post(f"/api/deliveries/{failed}/retry")
    explained = (await api.get(f"/api/webhooks/{webhook}/explain", eventId=event)).json
    sent = len(receiver.received)
    released = await api.post("/api/release")
    await until(lambda: nothing_pending(app))

    [hold] = held["held"]
    assert (hold["tenantId"], hold["heldBy"], hold["reason"]) == (
        *(str(tenant), "token-1"),
        "their bill",
    )
    assert again == held  # what is held already stays as it is
    since = hold["since"][:19].replace("T", " ")
    refused = f"this tenant's deliveries have been held since {since} UTC: nothing is sent until"
    assert (tested.status, tested.error) == (409, f"{refused} it is released")
    assert (probed.status, probed.error) == (409, f"{refused} it is released")
    assert (retried.status, sent) == (202, 0)
    assert explained["outcome"] == "pending"
    assert explained["pending"]["waitsFor"] == "release"
    assert f"have been held since {since} UTC" in explained["reason"]
    assert (released.status, released.json) == (200, {"held": [], "total": 0})
    assert len(receiver.received) == 2
    assert [tuple(each) for each in await app.db.fetch(ACTIONS)][1:] == [
        ("holdDeliveries", "token-1", tenant, tenant, "their bill"),
        ("holdDeliveries", "token-1", tenant, tenant, "another"),
        ("retryDelivery", "token-1", tenant, failed, None),
        ("releaseDeliveries", "token-1", tenant, tenant, None),
    ]


async def test_everything_is_held_apart_from_tenants_that_are_held_by_themselves(
    api: ApiClient, tenant: UUID
) -> None:
    operator = api.with_headers(X_Tenant_ID=None)
    granted = await operator.post("/api/tenant-tokens", {"tenantId": str(tenant)})
    customer = api.with_token(granted.json["token"])
    await api.post("/api/hold", {"reason": "their bill"})
    both = (await operator.post("/api/hold")).json
    left = (await operator.post("/api/release")).json
    seen = (await customer.get("/api/hold")).json
    forbidden = [(await customer.post(path)).status for path in ("/api/hold", "/api/release")]
    unknown = [
        (await api.as_tenant(each).post("/api/hold")).status for each in (uuid4(), UUID(int=0))
    ]

    assert [each["tenantId"] for each in both["held"]] == [None, str(tenant)]
    assert both["total"] == 2
    assert [each["tenantId"] for each in left["held"]] == [str(tenant)]
    assert [(each["tenantId"], each["heldBy"], each["reason"]) for each in seen["held"]] == [
        (str(tenant), None, None)
    ]
    assert seen["held"][0]["since"] == left["held"][0]["since"]
    assert (forbidden, unknown) == ([403, 403], [404, 404])
    assert (await api.as_tenant(uuid4()).get("/api/hold")).json == {"held": [], "total": 0}
