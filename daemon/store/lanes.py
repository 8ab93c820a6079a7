"""Which endpoints have pending attempts, and when the earliest of each is due."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from daemon.core.model.ids import TenantId, WebhookId
from daemon.store.session import Connection


@dataclass(frozen=True, slots=True)
class Upcoming:
    """When a lane's earliest pending attempt is due; `due_in` is in seconds, negative if past."""

    at: datetime
    due_in: float


FIND_PENDING_LANES = """
    -- A loose scan: one index probe for each endpoint with pending attempts, whatever its backlog.
    WITH RECURSIVE endpoint (id) AS (
        (SELECT webhook_id FROM webhook_deliveries WHERE status = 'pending_retry'
          ORDER BY webhook_id LIMIT 1)
        UNION ALL
        SELECT (SELECT d.webhook_id FROM webhook_deliveries AS d
                 WHERE d.status = 'pending_retry' AND d.webhook_id > endpoint.id
                 ORDER BY d.webhook_id LIMIT 1)
          FROM endpoint WHERE endpoint.id IS NOT NULL
    )
    SELECT w.id, w.tenant_id, w.consecutive_failures, first.next_retry_at AS at,
           extract(epoch FROM first.next_retry_at - now())::float8 AS due_in
      FROM endpoint
      JOIN webhooks AS w ON w.id = endpoint.id AND w.is_active
      CROSS JOIN LATERAL (
            SELECT next_retry_at
              FROM webhook_deliveries
             WHERE webhook_id = w.id AND status = 'pending_retry'
               AND (leased_until IS NULL OR leased_until < now())
             ORDER BY next_retry_at
             LIMIT 1) AS first
"""


@dataclass(frozen=True, slots=True)
class PendingLane:
    """An active endpoint with a pending attempt that is not leased."""

    webhook_id: WebhookId
    tenant_id: TenantId
    upcoming: Upcoming
    failing: bool


async def pending_lanes(db: Connection) -> list[PendingLane]:
    """Return every lane with a pending attempt, whether or not a notification announced it."""
    return [
        PendingLane(
            WebhookId(row["id"]),
            TenantId(row["tenant_id"]),
            Upcoming(row["at"], row["due_in"]),
            failing=row["consecutive_failures"] > 0,
        )
        for row in await db.fetch(FIND_PENDING_LANES)
        if row["at"] is not None
    ]


FIND_TENANTS = "SELECT id, tenant_id FROM webhooks WHERE id = ANY ($1::uuid[])"


async def tenants_of(
    db: Connection, webhook_ids: Collection[WebhookId]
) -> dict[WebhookId, TenantId]:
    """Return the tenant of each of these webhooks; those that are gone are missing."""
    rows = await db.fetch(FIND_TENANTS, list(webhook_ids))
    return {WebhookId(row["id"]): TenantId(row["tenant_id"]) for row in rows}
