"""
Webhooks, events and deliveries found across all tenants, by their ids or a part of their text.

The rule: a search takes a bounded time, whatever the tables hold.
"""

import time
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.model.tenants import FIRST_ID
from daemon.core.policy.urls import LONGEST_URL
from daemon.store.session import Connection

# Webhooks looked at in one step, and after how long no other one follows.
STEP_ROWS, SEARCH_SECONDS = 5000, 0.1
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
    WITH read AS MATERIALIZED (
        SELECT id, tenant_id, left(name::text, {LONGEST_NAME}) AS name,
               left(endpoint_url, {LONGEST_URL}) AS url
          FROM webhooks WHERE id > $1 ORDER BY id LIMIT $3
    )
    (SELECT 'webhook'::text AS kind, id, tenant_id, id AS webhook_id, name, false AS is_last
       FROM read
      WHERE strpos(lower(name), lower($2)) > 0 OR strpos(lower(url), lower($2)) > 0
      ORDER BY id LIMIT $4)
     UNION ALL
    (SELECT NULL, id, tenant_id, NULL, NULL, true FROM read ORDER BY id DESC LIMIT 1)
"""  # noqa: S608  made of constants only


async def webhooks_with(db: Connection, part: str, *, limit: int) -> tuple[list[FoundObject], bool]:
    """
    Webhooks whose name or URL has this part, in any case, and whether these are all.

    The search looks at webhooks for a bounded time.
    """
    found: list[FoundObject] = []
    after, began = FIRST_ID, time.monotonic()
    while time.monotonic() - began < SEARCH_SECONDS:
        rows = await db.fetch(WEBHOOKS_WITH, after, part, STEP_ROWS, limit + 1 - len(found))
        if not rows:
            return found, True
        found += [_found(row) for row in rows if not row["is_last"]]
        if len(found) > limit:
            break
        after = rows[-1]["id"]
    return found[:limit], False


def _found(row: Any) -> FoundObject:
    return FoundObject(
        kind=row["kind"],
        id=row["id"],
        tenant_id=TenantId(row["tenant_id"]),
        webhook_id=None if row["webhook_id"] is None else WebhookId(row["webhook_id"]),
        name=row["name"],
    )
