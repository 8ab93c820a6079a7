"""
Chains: the attempts of one event at one webhook, and who may make them longer.

A failure's next attempt is made by whoever settles it. Whoever adds one besides, because a person
asked for it, holds the webhook's chains meanwhile, or two of them would add the same.
"""

from daemon.core.model.ids import WebhookId
from daemon.store.session import Connection

HOLD = "SELECT pg_advisory_xact_lock(hashtextextended('webhookd chains ' || $1::uuid, 0))"
TRY_TO_HOLD = (
    "SELECT pg_try_advisory_xact_lock(hashtextextended('webhookd chains ' || $1::uuid, 0))"
)


async def hold(db: Connection, webhook_id: WebhookId) -> None:
    """Until the transaction ends; waits for whoever holds them."""
    await db.execute(HOLD, webhook_id)


async def try_to_hold(db: Connection, webhook_id: WebhookId) -> bool:
    """The same, without waiting; whether we do."""
    return bool(await db.fetchval(TRY_TO_HOLD, webhook_id))
