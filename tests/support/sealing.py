"""Master keys of a daemon under test, and what its secrets are sealed with."""

from typing import Any
from uuid import UUID

from tests.support.application import Application


def keys(*settings: str) -> dict[str, Any]:
    """Settings with these master keys, the newest first."""
    return {"security": {"master_keys": list(settings)}}


async def is_sealed_with(app: Application, key: str | None, webhook: UUID) -> bool:
    """Whether the webhook's secret is sealed under the key of this id; with none, it is plain."""
    found: str = await app.db.fetchval("SELECT sealed_with FROM webhooks WHERE id = $1", webhook)
    return found == key
