"""Webhooks as fan-out reads them: which of them subscribe to which events."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from daemon.core.model.events import Subscription
from daemon.core.model.ids import TenantId, WebhookId
from daemon.store.session import Connection
from daemon.store.webhook_columns import event_types, filters_text

SUBSCRIPTION = f"""
           w.id, w.tenant_id, w.filter_error, w.is_active,
           {event_types("w")},
           {filters_text("w")}"""

FIND_ACTIVE = f"""
    SELECT {SUBSCRIPTION}
      FROM pg_catalog.unnest($1::uuid[]) AS tenant (id)
     CROSS JOIN LATERAL (
            SELECT *
              FROM webhooks
             WHERE tenant_id = tenant.id AND is_active
             LIMIT $2) AS w
"""  # noqa: S608  made of constants only


async def of_tenants(
    db: Connection, tenants: Sequence[TenantId], *, limit: int
) -> list[Subscription]:
    """Return the subscriptions of the active webhooks of these tenants, at most `limit` of each."""
    return _subscriptions(await db.fetch(FIND_ACTIVE, tenants, limit))


FIND_PAGE = f"""
    SELECT {SUBSCRIPTION}
      FROM (SELECT id FROM webhooks WHERE tenant_id = $1) AS owned
      JOIN webhooks AS w ON w.id = owned.id
     WHERE owned.id > $2
     ORDER BY owned.id
     LIMIT $3
"""  # noqa: S608  made of constants only


async def page(
    db: Connection, tenant_id: TenantId, *, after: WebhookId, limit: int
) -> list[Subscription]:
    """Return a page of a tenant's subscriptions, by webhook id, paused ones included."""
    return _subscriptions(await db.fetch(FIND_PAGE, tenant_id, after, limit))


FIND_BY_ID = f"""
    SELECT {SUBSCRIPTION} FROM webhooks AS w WHERE w.id = ANY ($1::uuid[])
"""  # noqa: S608  made of constants only


async def by_id(db: Connection, ids: Sequence[WebhookId]) -> list[Subscription]:
    """Return the subscriptions of these webhooks, paused ones included."""
    return _subscriptions(await db.fetch(FIND_BY_ID, ids))


FIND_PAUSED_SINCE = f"""
    SELECT {SUBSCRIPTION}, w.paused_at
      FROM unnest($1::uuid[], $2::timestamptz[]) AS tenant (id, since)
     CROSS JOIN LATERAL (
            SELECT *
              FROM webhooks
             WHERE tenant_id = tenant.id AND NOT is_active AND paused_at > tenant.since
             LIMIT $3) AS w
"""  # noqa: S608  made of constants only
MOST_PAUSED = 200  # of one tenant


async def paused_since(
    db: Connection, since: Mapping[TenantId, datetime]
) -> list[tuple[Subscription, datetime]]:
    """Return subscriptions of webhooks that were paused after their tenant's time, and when."""
    if not since:
        return []
    rows = await db.fetch(FIND_PAUSED_SINCE, list(since), list(since.values()), MOST_PAUSED)
    times = [row["paused_at"] for row in rows]
    return list(zip(_subscriptions(rows), times, strict=True))


def _subscriptions(rows: Sequence[Any]) -> list[Subscription]:
    return [
        Subscription(
            webhook_id=WebhookId(row["id"]),
            tenant_id=TenantId(row["tenant_id"]),
            event_types=None if row["event_types"] is None else tuple(row["event_types"]),
            event_filters=row["event_filters"],
            filter_error=row["filter_error"],
            is_active=row["is_active"],
        )
        for row in rows
    ]


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
