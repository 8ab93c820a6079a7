"""
The lock on a webhook's chains, held while an attempt is added that does not follow from a result.

A chain is all attempts to deliver one event to one webhook. The result of a failed attempt adds the
next one under the lock of its row. A retry or a replay adds one besides: without this lock, two of
them would add the same attempt twice.
"""

from daemon.core.model.ids import WebhookId
from daemon.store.session import Connection

LOCK = """
    SELECT pg_catalog.pg_advisory_xact_lock(
               pg_catalog.hashtextextended('webhookd chains ' || $1::uuid::text, 0))
"""
TRY_LOCK = """
    SELECT pg_catalog.pg_try_advisory_xact_lock(
               pg_catalog.hashtextextended('webhookd chains ' || $1::uuid::text, 0))
"""


async def lock(db: Connection, webhook_id: WebhookId) -> None:
    """Lock the webhook's chains until the transaction ends; wait for another holder."""
    await db.execute(LOCK, webhook_id)


async def try_lock(db: Connection, webhook_id: WebhookId) -> bool:
    """Lock the webhook's chains until the transaction ends; return False if they are locked."""
    return bool(await db.fetchval(TRY_LOCK, webhook_id))
