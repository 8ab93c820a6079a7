"""Which endpoints have something pending, and from when on."""

from dataclasses import dataclass
from datetime import datetime

from daemon.core.model.ids import WebhookId
from daemon.store.database import Connection


@dataclass(frozen=True, slots=True)
class Upcoming:
    """The earliest attempt that waits in a lane; `due_in` counts seconds from now, past is < 0."""

    at: datetime
    due_in: float


SWEEP = """
    -- A loose scan: one probe for each endpoint that has anything pending, whatever its backlog.
    WITH RECURSIVE endpoint (id) AS (
        (SELECT webhook_id FROM webhook_deliveries WHERE status = 'pending_retry'
          ORDER BY webhook_id LIMIT 1)
        UNION ALL
        SELECT (SELECT d.webhook_id FROM webhook_deliveries AS d
                 WHERE d.status = 'pending_retry' AND d.webhook_id > endpoint.id
                 ORDER BY d.webhook_id LIMIT 1)
          FROM endpoint WHERE endpoint.id IS NOT NULL
    )
    SELECT w.id, w.consecutive_failures, first.next_retry_at AS at,
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
class Waiting:
    """An active endpoint that has something pending which nobody holds."""

    webhook_id: WebhookId
    consecutive_failures: int
    upcoming: Upcoming


async def find_due_lanes(db: Connection) -> list[Waiting]:
    """The truth about every lane, whoever made it: what wake-ups told, and what they missed."""
    return [
        Waiting(
            WebhookId(row["id"]),
            row["consecutive_failures"],
            Upcoming(row["at"], row["due_in"]),
        )
        for row in await db.fetch(SWEEP)
        if row["at"] is not None
    ]
