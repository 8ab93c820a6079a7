"""A delivery as the API shows it."""

from typing import Any
from uuid import UUID

from tests.support.api_client import ApiClient
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver


async def one_delivered(
    api: ApiClient,
    app: Application,
    tenant: UUID,
    receiver: Receiver,
    *,
    status: str = "success",
    path: str = "/hook",
) -> tuple[UUID, Any]:
    """A webhook and the detail of its only delivery."""
    webhook = await app.webhook(tenant, receiver.url + path)
    await app.event(tenant, {"n": 1.0, "text": "quote ' and \\ é 😀"})
    await until(lambda: settled(app, webhook, status, 1))
    listed = await api.get(f"/api/webhooks/{webhook}/deliveries")
    return webhook, (await api.get(f"/api/deliveries/{listed.json['deliveries'][0]['id']}")).json
