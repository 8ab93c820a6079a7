"""
Earlier deliveries of events to a webhook: which it has had, and with which data.

The rule: a page of events is looked up by key, a bounded number of rows for each, and in no
partition of before the event came in.
"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import UUID

from daemon.core.model.ids import WebhookId
from daemon.core.model.replays import EarlierDeliveries
from daemon.store.session import Connection

# Clocks may be set back, and a failover brings another one.
SINCE = "coalesce({event}.received_at - interval '1 hour', '-infinity'::timestamptz)"

SENT_FIRST = """
    -- Deliveries keep the data that were sent. Of an event for very many webhooks, any will do.
    (SELECT kept.payload
       FROM (SELECT payload, attempted_at
               FROM webhook_deliveries
              WHERE event_id = event.id AND payload IS NOT NULL
                AND attempted_at >= event.since
              LIMIT 1000) AS kept
      WHERE kept.attempted_at < event.data_changed_at
      ORDER BY kept.attempted_at
      LIMIT 1)"""

FIND = f"""
    WITH kept AS MATERIALIZED (
        -- Of a younger webhook, no delivery can have been deleted for its age.
        SELECT CASE WHEN created_at > now() - $3::interval THEN '-infinity'::timestamptz
                    ELSE now() - $3::interval END AS since
          FROM webhooks
         WHERE id = $1
    ), event AS MATERIALIZED (
        SELECT e.id, e.data_changed_at, {SINCE.format(event="e")} AS since,
               coalesce(e.received_at, e.created_at, '-infinity'::timestamptz) < kept.since
                   AS is_old
          FROM kept
         CROSS JOIN pg_catalog.unnest($2::uuid[]) AS wanted (id)
          JOIN webhook_events AS e ON e.id = wanted.id
    )
    SELECT event.id, event.is_old,
           EXISTS (SELECT
                     FROM (SELECT status
                             FROM webhook_deliveries
                            -- A range of keys, as in `store.attempt_chains`.
                            WHERE (event_id, webhook_id) >= (event.id, $1)
                              AND (event_id, webhook_id) <= (event.id, $1)
                              AND status::text IN ('success', 'failed')
                              AND attempted_at >= event.since
                            LIMIT 1000) AS made
                    WHERE made.status::text = 'success') AS delivered,
           CASE WHEN event.data_changed_at IS NULL THEN false
                ELSE {SENT_FIRST} IS NULL END AS changed
      FROM event
"""  # noqa: S608  made of constants only

COUNT = f"""
    SELECT count(*) FILTER (WHERE delivered) AS delivered,
           count(*) FILTER (WHERE is_old AND NOT delivered) AS unknown,
           count(*) FILTER (WHERE changed) AS changed,
           count(*) FILTER (WHERE changed AND NOT is_old AND NOT delivered) AS changed_undelivered
      FROM ({FIND}) AS found
"""  # noqa: S608
LIST_UNDELIVERED = f"""
    SELECT id FROM ({FIND}) AS found WHERE NOT delivered AND NOT is_old
"""  # noqa: S608


async def count(
    db: Connection, webhook_id: WebhookId, events: Sequence[UUID], *, kept_for: timedelta
) -> EarlierDeliveries:
    """Count the earlier deliveries of these events; deliveries are `kept_for` so long."""
    row = await db.fetchrow(COUNT, webhook_id, events, kept_for)
    return EarlierDeliveries(
        row["delivered"], row["unknown"], row["changed"], row["changed_undelivered"]
    )


async def undelivered(
    db: Connection, webhook_id: WebhookId, events: Collection[UUID], *, kept_for: timedelta
) -> set[UUID]:
    """Return those of these events that the webhook certainly has not had."""
    rows = await db.fetch(LIST_UNDELIVERED, webhook_id, list(events), kept_for)
    return {row["id"] for row in rows}
