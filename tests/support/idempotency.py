"""Requests to the API with an idempotency key."""

from typing import Any

from tests.support.api_client import Answer, ApiClient
from tests.support.application import Application

WEBHOOK = {"name": "a webhook", "endpointUrl": "http://127.0.0.1:9/hook"}
SECURE = {"master_keys": ["0123456789-0123456789-0123456789-0123456789"]}
LEASE_IS_OVER = "UPDATE webhook_idempotency_keys SET claimed_until = now()"


async def keyed(
    api: ApiClient, path: str, body: Any = None, *, key: str = "a-key", **headers: str
) -> Answer:
    """POST with a key."""
    return await api.call("POST", path, body, headers={"Idempotency-Key": key, **headers})


async def webhooks(app: Application) -> int:
    """How many webhooks there are."""
    return int(await app.db.fetchval("SELECT count(*) FROM webhooks"))
