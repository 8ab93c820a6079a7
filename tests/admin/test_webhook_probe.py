"""A probe over the API: the oldest pending attempt of an endpoint that is failing, now."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from tests.support.api_client import ApiClient, serving_api
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.deliveries import insert_delivery, settled
from tests.support.failing import Outage, set_failing
from tests.support.receiver import Receiver


@pytest.fixture
async def api(database: str, tenant: UUID) -> AsyncIterator[ApiClient]:
    async with serving_api(database, tenant) as caller:
        yield caller


@pytest.fixture
async def webhook(app: Application, tenant: UUID, receiver: Receiver) -> UUID:
    """A webhook whose endpoint is failing, and that is not tried again for an hour."""
    webhook = await app.webhook(tenant, receiver.url)
    await set_failing(app, webhook)
    return webhook


async def test_the_oldest_pending_attempt_is_made_at_once_and_no_other(
    api: ApiClient, app: Application, webhook: UUID, receiver: Receiver
) -> None:
    outage = Outage(receiver)
    now = datetime.now(UTC)
    later, oldest = [
        await insert_delivery(app, webhook, next_retry_at=now + timedelta(hours=hours))
        for hours in (30, 20)
    ]

    probed = await api.post(f"/api/webhooks/{webhook}/probe")
    await until(lambda: settled(app, webhook, "failed", 1))

    assert (probed.status, probed.json) == (202, {"id": str(oldest)})
    sent = [request.headers["x-penguinmails-delivery-id"] for request in outage.failed]
    assert sent == [str(oldest)]
    untouched = await app.db.fetchval(
        "SELECT next_retry_at FROM webhook_deliveries WHERE id = $1", later
    )
    assert untouched == now + timedelta(hours=30)


async def test_a_success_of_the_probe_ends_the_spacing(
    api: ApiClient, app: Application, webhook: UUID
) -> None:
    before = await api.get(f"/api/webhooks/{webhook}")
    for _ in range(20):
        await insert_delivery(app, webhook, next_retry_at=datetime(2025, 1, 1, tzinfo=UTC))

    await api.post(f"/api/webhooks/{webhook}/probe")
    await until(lambda: settled(app, webhook, "success", 20))

    after = await api.get(f"/api/webhooks/{webhook}")
    assert datetime.fromisoformat(before.json["nextProbeAt"]) > datetime.now(UTC)
    assert (after.json["nextProbeAt"], after.json["isFailing"]) == (None, False)


async def test_an_attempt_in_flight_is_the_probe(
    api: ApiClient, app: Application, webhook: UUID
) -> None:
    lease = datetime.now(UTC) + timedelta(hours=1)
    in_flight = await insert_delivery(
        app, webhook, next_retry_at=datetime(2025, 1, 1, tzinfo=UTC), leased_until=lease
    )

    probed = await api.post(f"/api/webhooks/{webhook}/probe")

    assert (probed.status, probed.json) == (202, {"id": str(in_flight)})


async def test_a_webhook_with_nothing_pending_cannot_be_probed(
    api: ApiClient, webhook: UUID
) -> None:
    probed = await api.post(f"/api/webhooks/{webhook}/probe")

    assert probed.status == 409
    assert probed.error == "nothing is pending for this webhook: send a test event instead"


async def test_a_paused_webhook_cannot_be_probed_and_shows_no_next_probe(
    api: ApiClient, app: Application, webhook: UUID, receiver: Receiver
) -> None:
    await insert_delivery(app, webhook)
    paused = await api.post(f"/api/webhooks/{webhook}/pause")

    probed = await api.post(f"/api/webhooks/{webhook}/probe")

    assert (probed.status, probed.error) == (409, "the webhook is paused: resume it first")
    assert paused.json["nextProbeAt"] is None
    assert receiver.received == []


async def test_a_webhook_of_another_tenant_is_not_found(
    api: ApiClient, app: Application, webhook: UUID
) -> None:
    other = api.as_tenant(await app.tenant())

    assert (await other.post(f"/api/webhooks/{webhook}/probe")).status == 404
    assert (await api.post(f"/api/webhooks/{uuid4()}/probe")).status == 404
