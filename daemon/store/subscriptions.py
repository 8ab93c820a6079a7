"""Webhooks as fan-out reads them: which of them subscribe to which events."""

from collections.abc import Sequence

from daemon.core.matching.limits import LONGEST_TEXT
from daemon.core.model.events import Subscription
from daemon.core.model.ids import TenantId, WebhookId
from daemon.store.session import Connection

FIND_ACTIVE = """
    SELECT id, tenant_id, event_types, left(event_filters::text, $2) AS event_filters,
           filter_error
      FROM webhooks
     WHERE tenant_id = ANY ($1::uuid[]) AND is_active
"""


async def subscriptions(db: Connection, tenants: Sequence[TenantId]) -> list[Subscription]:
    """
    Return the subscriptions of the active webhooks of these tenants.

    A filter that is too long is cut off just above the limit, where it is refused.
    """
    return [
        Subscription(
            webhook_id=WebhookId(row["id"]),
            tenant_id=TenantId(row["tenant_id"]),
            event_types=None if row["event_types"] is None else tuple(row["event_types"]),
            event_filters=row["event_filters"],
            filter_error=row["filter_error"],
        )
        for row in await db.fetch(FIND_ACTIVE, tenants, LONGEST_TEXT + 1)
    ]


LOCK_FOR_INSERT = """
    SELECT id FROM webhooks WHERE id = ANY ($1::uuid[]) FOR KEY SHARE SKIP LOCKED
"""


async def lock_for_insert(db: Connection, ids: Sequence[WebhookId]) -> set[WebhookId]:
    """
    Lock webhooks until the transaction ends, so that deliveries can be inserted for them.

    Returns those that could be locked. An insert for another one would wait for the transaction
    that is deleting or locking it, and the events of all other webhooks would wait too.
    """
    return {WebhookId(row["id"]) for row in await db.fetch(LOCK_FOR_INSERT, ids)}


SET_FILTER_ERROR = """
    UPDATE webhooks SET filter_error = $2
     WHERE id = (SELECT id FROM webhooks WHERE id = $1 FOR NO KEY UPDATE SKIP LOCKED)
"""


async def note_filter_error(db: Connection, webhook_id: WebhookId, reason: str | None) -> None:
    """
    Store on the webhook why its filter matches nothing; None if it can be used.

    Does nothing if the webhook is locked: it never waits.
    """
    await db.execute(SET_FILTER_ERROR, webhook_id, reason)
