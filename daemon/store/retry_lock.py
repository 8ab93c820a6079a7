"""
The lock on a webhook's chains, held while an attempt is added that does not follow from a result.

A chain is all attempts to deliver one event to one webhook. The result of a failed attempt adds the
next one under the lock of its row. A retry or a replay adds one besides: without this lock, two of
them would add the same attempt twice.
"""

from daemon.core.model.ids import WebhookId
from daemon.store import named_locks
from daemon.store.session import Connection


def lock_name(webhook_id: WebhookId) -> str:
    """The lock of the webhook's chains."""
    return f"webhookd chains {webhook_id}"


async def lock(db: Connection, webhook_id: WebhookId) -> None:
    """Lock the webhook's chains until the transaction ends. Raises LockHeldError."""
    await named_locks.take(db, lock_name(webhook_id))


async def try_lock(db: Connection, webhook_id: WebhookId) -> bool:
    """Lock the webhook's chains until the transaction ends; return False if they are locked."""
    return await named_locks.try_take(db, lock_name(webhook_id))
