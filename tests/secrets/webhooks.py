"""Webhooks with custom headers."""

from uuid import UUID

import orjson

from tests.support.application import Application

BEARER = "Bearer t0k3n-t0k3n-t0k3n"


async def webhook_with_headers(app: Application, url: str, headers: object) -> tuple[UUID, UUID]:
    """Insert a tenant and its webhook as the application does; return their ids."""
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, url)
    await app.db.execute(
        "UPDATE webhooks SET custom_headers = $2 WHERE id = $1",
        webhook,
        orjson.dumps(headers).decode(),
    )
    return tenant, webhook
