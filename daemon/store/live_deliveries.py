"""
The latest attempts of a webhook, as those who watch its deliveries need them every second.

The caller has checked the webhook's tenant.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from daemon.core.model.ids import EventId, WebhookId
from daemon.store.session import Connection

MOST_NEW = 200
# An attempt is stored when it has ended, under the time at which it began.
LONGEST_UNSTORED = timedelta(minutes=5)

RECENT = """
    WITH newest AS MATERIALIZED (
        SELECT event_id, event_type, status, attempt_number, attempted_at
          FROM webhook_deliveries
         WHERE webhook_id = $1 AND attempted_at >= $2
         ORDER BY attempted_at DESC, id DESC
         LIMIT $4
    ), watched AS MATERIALIZED (
        SELECT d.event_id, d.event_type, d.status, d.attempt_number, d.attempted_at
          FROM pg_catalog.unnest($3::uuid[]) AS event (id)
         CROSS JOIN LATERAL (
                SELECT event_id, event_type, status, attempt_number, attempted_at
                  FROM webhook_deliveries
                 -- A range of keys, because only one index can serve that.
                 WHERE (event_id, webhook_id) >= (event.id, $1)
                   AND (event_id, webhook_id) <= (event.id, $1)
                   AND attempted_at >= now() - $5::interval
                 LIMIT 20) AS d
    )
    SELECT event_id, coalesce(event_type, '') AS event_type, coalesce(status, '') AS status,
           attempt_number, attempted_at
      FROM (SELECT * FROM newest UNION SELECT * FROM watched) AS recent
"""


@dataclass(frozen=True, slots=True)
class RecentAttempt:
    """An attempt, without its result."""

    event_id: EventId
    event_type: str
    status: str
    attempt_number: int
    attempted_at: datetime


async def recent(
    db: Connection, webhook_id: WebhookId, *, since: datetime, watched: Sequence[EventId]
) -> list[RecentAttempt]:
    """
    The newest attempts `since` a time, and the latest of the `watched` events, in no order.

    At most MOST_NEW and twenty of each watched event are read.
    """
    rows = await db.fetch(RECENT, webhook_id, since, watched, MOST_NEW, LONGEST_UNSTORED)
    return [
        RecentAttempt(
            EventId(row["event_id"]),
            row["event_type"],
            row["status"],
            row["attempt_number"],
            row["attempted_at"],
        )
        for row in rows
    ]
