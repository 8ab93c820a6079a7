"""Calls of the API that leave audit records, and the records."""

from typing import Any
from uuid import UUID

import asyncpg

from tests.support.api_client import OPERATOR, Answer, ApiClient
from tests.support.application import Application
from tests.support.deliveries import insert_delivery

READER = "reader-" * 4
TOKENS = {
    "tokens": [
        {"name": "ops", "token": OPERATOR},
        {"name": "reports", "token": READER, "scope": "read"},
    ]
}
URL = "http://127.0.0.1:9/hook"
START = "2020-01-01T00:00:00Z"


async def records(app: Application) -> list[asyncpg.Record]:
    found: list[asyncpg.Record] = await app.db.fetch("SELECT * FROM webhook_audit ORDER BY at")
    return found


async def tenant_client(operator: ApiClient, tenant: UUID, **more: object) -> ApiClient:
    answer = await operator.post("/api/tenant-tokens", {"tenantId": str(tenant), **more})
    return operator.with_token(answer.json["token"])


class Calls:
    """One successful call of each operation that changes something, by the operation's id."""

    def __init__(self, app: Application, operator: ApiClient, tenant: UUID, receiver: str) -> None:
        self._app = app
        self._operator = operator
        self._tenant = tenant
        self._receiver = receiver

    async def call(self, operation_id: str) -> tuple[Answer, str | None]:
        """Make the call; return the answer, and the id of the object that it concerns."""
        answer, object_id = await getattr(self, operation_id)()
        return answer, object_id or answer.json["id"]

    async def _webhook(self) -> str:
        return str(await self._app.webhook(self._tenant, self._receiver))

    async def _of_webhook(self, action: str, body: Any = None) -> tuple[Answer, str]:
        webhook = await self._webhook()
        return await self._operator.post(f"/api/webhooks/{webhook}{action}", body), webhook

    async def createWebhook(self) -> tuple[Answer, None]:  # noqa: N802
        body = {"name": "x", "endpointUrl": self._receiver}
        return await self._operator.post("/api/webhooks", body), None

    async def updateWebhook(self) -> tuple[Answer, str]:  # noqa: N802
        webhook = await self._webhook()
        return await self._operator.patch(f"/api/webhooks/{webhook}", {"name": "y"}), webhook

    async def deleteWebhook(self) -> tuple[Answer, str]:  # noqa: N802
        webhook = await self._webhook()
        return await self._operator.delete(f"/api/webhooks/{webhook}"), webhook

    async def pauseWebhook(self) -> tuple[Answer, str]:  # noqa: N802
        return await self._of_webhook("/pause")

    async def resumeWebhook(self) -> tuple[Answer, str]:  # noqa: N802
        return await self._of_webhook("/resume")

    async def holdDeliveries(self) -> tuple[Answer, str]:  # noqa: N802
        return await self._operator.post("/api/hold"), str(self._tenant)

    async def releaseDeliveries(self) -> tuple[Answer, str]:  # noqa: N802
        return await self._operator.post("/api/release"), str(self._tenant)

    async def rotateWebhookSecret(self) -> tuple[Answer, str]:  # noqa: N802
        return await self._of_webhook("/rotate-secret")

    async def probeWebhook(self) -> tuple[Answer, str]:  # noqa: N802
        webhook = await self._webhook()
        await insert_delivery(self._app, UUID(webhook))
        return await self._operator.post(f"/api/webhooks/{webhook}/probe"), webhook

    async def sendTestEvent(self) -> tuple[Answer, str]:  # noqa: N802
        return await self._of_webhook("/test")

    async def retryDelivery(self) -> tuple[Answer, str]:  # noqa: N802
        webhook = UUID(await self._webhook())
        failed = await insert_delivery(self._app, webhook, status="failed", next_retry_at=None)
        return await self._operator.post(f"/api/deliveries/{failed}/retry"), str(failed)

    async def retryFailedDeliveries(self) -> tuple[Answer, str]:  # noqa: N802
        webhook = await self._webhook()
        await insert_delivery(self._app, UUID(webhook), status="failed", next_retry_at=None)
        path = f"/api/webhooks/{webhook}/retry-failed"
        return await self._operator.post(path, {"from": START}), webhook

    async def createReplay(self) -> tuple[Answer, None]:  # noqa: N802
        body = {"webhookId": await self._webhook(), "from": START}
        return await self._operator.post("/api/replays", body), None

    async def cancelReplay(self) -> tuple[Answer, str]:  # noqa: N802
        (answer, _) = await self.createReplay()
        replay = answer.json["id"]
        await self._app.db.execute("DELETE FROM webhook_audit")
        return await self._operator.post(f"/api/replays/{replay}/cancel"), replay

    async def retryFailedOfReplay(self) -> tuple[Answer, str]:  # noqa: N802
        (answer, _) = await self.createReplay()
        webhook, replay = UUID(answer.json["webhookId"]), answer.json["id"]
        await self._app.db.execute("DELETE FROM webhook_audit")
        await insert_delivery(
            self._app, webhook, status="failed", next_retry_at=None, chain_replays=[UUID(replay)]
        )
        return await self._operator.post(f"/api/replays/{replay}/retry-failed"), replay

    async def createTenantToken(self) -> tuple[Answer, None]:  # noqa: N802
        body = {"tenantId": str(self._tenant)}
        return await self._operator.post("/api/tenant-tokens", body), None

    async def revokeTenantToken(self) -> tuple[Answer, str]:  # noqa: N802
        (answer, _) = await self.createTenantToken()
        token = answer.json["id"]
        await self._app.db.execute("DELETE FROM webhook_audit")
        return await self._operator.delete(f"/api/tenant-tokens/{token}"), token

    async def createPortalLink(self) -> tuple[Answer, None]:  # noqa: N802
        body = {"tenantId": str(self._tenant)}
        return await self._operator.post("/api/portal-links", body), None

    async def revokePortalLink(self) -> tuple[Answer, str]:  # noqa: N802
        (answer, _) = await self.createPortalLink()
        link = answer.json["id"]
        await self._app.db.execute("DELETE FROM webhook_audit")
        return await self._operator.delete(f"/api/portal-links/{link}"), link
