"""
Webhooks, events and deliveries found across all tenants, by their ids or a part of their text.

The rule: a search takes a bounded time, whatever the tables hold.
"""

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.policy.urls import LONGEST_URL
from daemon.store.search import fetch_step
from daemon.store.session import Connection

# Webhooks looked at; fewer are tried if these take too long.
ROWS = (100_000, 10_000, 1000)
LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class FoundObject:
    """An object of a tenant; `name` is a webhook's name, or an event's type."""

    kind: Literal["webhook", "event", "delivery"]
    id: UUID
    tenant_id: TenantId
    webhook_id: WebhookId | None
    name: str | None


BY_ID = f"""
    SELECT 'webhook'::text AS kind, id, tenant_id, id AS webhook_id,
           left(name::text, {LONGEST_NAME}) AS name
      FROM webhooks
     WHERE id = $1
     UNION ALL
    SELECT 'event'::text, id, tenant_id, NULL::uuid, left(event_type::text, {LONGEST_NAME})
      FROM webhook_events
     WHERE id = $1
     UNION ALL
    (SELECT 'delivery'::text, d.id, w.tenant_id, w.id, left(d.event_type::text, {LONGEST_NAME})
       FROM webhook_deliveries AS d
       JOIN webhooks AS w ON w.id = d.webhook_id
      WHERE d.id = $1
      LIMIT 1)
"""  # noqa: S608  made of constants only


async def by_id(db: Connection, object_id: UUID) -> list[FoundObject]:
    """The objects with this id."""
    return [_found(row) for row in await db.fetch(BY_ID, object_id)]


WEBHOOKS_WITH = f"""
    SELECT 'webhook'::text AS kind, id, tenant_id, id AS webhook_id, name
      FROM (SELECT id, tenant_id, left(name::text, {LONGEST_NAME}) AS name,
                   left(endpoint_url, {LONGEST_URL}) AS url
              FROM webhooks
             ORDER BY id
             LIMIT $2) AS read
     WHERE strpos(lower(name), lower($1)) > 0 OR strpos(lower(url), lower($1)) > 0
     ORDER BY id
     LIMIT $3
"""  # noqa: S608  made of constants only
MORE_WEBHOOKS = "SELECT EXISTS (SELECT FROM webhooks ORDER BY id OFFSET $1 LIMIT 1)"


async def webhooks_with(db: Connection, part: str, *, limit: int) -> tuple[list[FoundObject], bool]:
    """
    Webhooks whose name or URL has this part, in any case, and whether these are all.

    Call outside a transaction.
    """
    for most in ROWS:
        rows = await fetch_step(db, WEBHOOKS_WITH, part, most, limit + 1)
        if rows is not None:
            complete = len(rows) <= limit and not await db.fetchval(MORE_WEBHOOKS, most)
            return [_found(row) for row in rows[:limit]], complete
    return [], False


def _found(row: Any) -> FoundObject:
    return FoundObject(
        kind=row["kind"],
        id=row["id"],
        tenant_id=TenantId(row["tenant_id"]),
        webhook_id=None if row["webhook_id"] is None else WebhookId(row["webhook_id"]),
        name=row["name"],
    )
