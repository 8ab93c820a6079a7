"""
How much waits in the database, for the metrics.

The rule: each statement reads a bounded number of rows, whatever the tables hold.
"""

from daemon.core.model.backlog import Backlog
from daemon.store.session import Connection
from daemon.store.tenant_overview import IN_TROUBLE

MOST_EVENTS = 10_000
MOST_PENDING = 100_000
MOST_WEBHOOKS = 20_000

FIND_BACKLOG = f"""
    SELECT (SELECT pg_catalog.count(*)
              FROM (SELECT FROM webhook_event_inbox LIMIT {MOST_EVENTS}) AS few) AS inbox_events,
           (SELECT extract(epoch FROM now() - arrived_at)::float8
              FROM webhook_event_inbox
             ORDER BY xid, tenant_id, event_id
             LIMIT 1) AS inbox_oldest_seconds,
           attempt.pending, attempt.due,
           webhook.failing, webhook.may_probe, webhook.paused_by_failures, webhook.paused_by_request
      FROM (SELECT pg_catalog.count(*) AS pending,
                   pg_catalog.count(*) FILTER (WHERE next_retry_at <= now()) AS due
              -- In the order of an index, so that finished attempts are not read for pending ones.
              FROM (SELECT next_retry_at
                      FROM webhook_deliveries
                     WHERE status::text = 'pending_retry'
                     ORDER BY webhook_id, next_retry_at
                     LIMIT {MOST_PENDING}) AS few) AS attempt
     CROSS JOIN (
            SELECT pg_catalog.count(*) FILTER (WHERE is_active) AS failing,
                   pg_catalog.count(*) FILTER (
                       WHERE is_active AND coalesce(next_probe_at <= now(), true)) AS may_probe,
                   pg_catalog.count(*) FILTER (
                       WHERE NOT is_active AND paused_reason IS NOT NULL) AS paused_by_failures,
                   pg_catalog.count(*) FILTER (
                       WHERE NOT is_active AND paused_reason IS NULL) AS paused_by_request
              FROM (SELECT is_active, next_probe_at, paused_reason
                      FROM webhooks
                     WHERE {IN_TROUBLE}
                     ORDER BY tenant_id
                     LIMIT {MOST_WEBHOOKS}) AS few) AS webhook
"""  # noqa: S608  made of constants only


async def backlog(db: Connection) -> Backlog:
    """Return what waits, counted up to the bounds above."""
    return Backlog(**await db.fetchrow(FIND_BACKLOG))
