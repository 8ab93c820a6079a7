"""Webhooks as the daemon sees them: who subscribes to what, and how each endpoint is doing."""

from collections.abc import Sequence

from daemon.core.matching.limits import LONGEST_TEXT
from daemon.core.model.events import Subscription
from daemon.core.model.ids import TenantId, WebhookId
from daemon.store.session import Connection

SUBSCRIPTIONS = """
    SELECT id, tenant_id, event_types, left(event_filters::text, $2) AS event_filters,
           filter_error
      FROM webhooks
     WHERE tenant_id = ANY ($1::uuid[]) AND is_active
"""


async def subscriptions(db: Connection, tenants: Sequence[TenantId]) -> list[Subscription]:
    """The active webhooks of these tenants; of a filter that is too long only enough to tell."""
    return [
        Subscription(
            webhook_id=WebhookId(row["id"]),
            tenant_id=TenantId(row["tenant_id"]),
            event_types=None if row["event_types"] is None else tuple(row["event_types"]),
            event_filters=row["event_filters"],
            filter_error=row["filter_error"],
        )
        for row in await db.fetch(SUBSCRIPTIONS, tenants, LONGEST_TEXT + 1)
    ]


HOLD = """
    SELECT id FROM webhooks WHERE id = ANY ($1::uuid[]) FOR KEY SHARE SKIP LOCKED
"""


async def hold(db: Connection, ids: Sequence[WebhookId]) -> set[WebhookId]:
    """
    Those of the webhooks that rows may be inserted for now, kept so until the transaction ends.

    Inserting for the others would wait for whoever is deleting or locking them, and everybody
    else's events with it.
    """
    return {WebhookId(row["id"]) for row in await db.fetch(HOLD, ids)}


NOTE_FILTER_ERROR = """
    UPDATE webhooks SET filter_error = $2
     WHERE id = (SELECT id FROM webhooks WHERE id = $1 FOR NO KEY UPDATE SKIP LOCKED)
"""


async def note_filter_error(db: Connection, webhook_id: WebhookId, reason: str | None) -> None:
    """Show on the webhook why its filter matches nothing, or that it does again; never waits."""
    await db.execute(NOTE_FILTER_ERROR, webhook_id, reason)
