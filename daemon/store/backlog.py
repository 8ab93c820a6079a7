"""
How much waits in the database, for the metrics.

The rule: each statement reads a bounded part of the tables, or for a bounded time. A transaction
that is open or was rolled back may have inserted millions of rows, which have to be passed.
"""

from collections.abc import Mapping
from typing import Any

from daemon.core.model.backlog import Backlog
from daemon.store.search import fetch_step
from daemon.store.session import Connection
from daemon.store.tenant_overview import IN_TROUBLE

MOST_EVENTS = 10_000
MOST_PAGES = 1000  # of the inbox's first, and of its last
MOST_PENDING = 100_000
MOST_WEBHOOKS = 20_000

# By pages, so that rows which no snapshot sees are bounded, too.
FIND_INBOX = f"""
    WITH inbox AS MATERIALIZED (
        SELECT pg_catalog.pg_relation_size('webhook_event_inbox'::regclass)
               / pg_catalog.current_setting('block_size'::text)::bigint AS pages
    ), place AS MATERIALIZED (
        SELECT ('(' || $1::bigint::text || ',0)')::tid AS ends_at,
               ('(' || greatest($1::bigint, pages - $1::bigint)::text || ',0)')::tid AS begins_at
          FROM inbox
    )
    SELECT least(pg_catalog.count(*), {MOST_EVENTS}::bigint) AS inbox_events,
           extract(epoch FROM now() - pg_catalog.min(arrived_at))::float8 AS inbox_oldest_seconds
      FROM (SELECT arrived_at
              FROM webhook_event_inbox
             WHERE ctid < (SELECT ends_at FROM place)
            UNION ALL
            SELECT arrived_at
              FROM webhook_event_inbox
             WHERE ctid >= (SELECT begins_at FROM place)) AS event
"""  # noqa: S608  made of constants only

FIND_PENDING = f"""
    SELECT pg_catalog.count(*) AS pending,
           pg_catalog.count(*) FILTER (WHERE next_retry_at <= now()) AS due
      -- In the order of an index, so that finished attempts are not read for pending ones.
      FROM (SELECT next_retry_at
              FROM webhook_deliveries
             WHERE status::text = 'pending_retry'
             ORDER BY webhook_id, next_retry_at
             LIMIT {MOST_PENDING}) AS few
"""  # noqa: S608  made of constants only

FIND_TROUBLE = f"""
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
             LIMIT {MOST_WEBHOOKS}) AS few
"""  # noqa: S608  made of constants only


FIND_ALL = f"""
    SELECT *
      FROM ({FIND_INBOX}) AS inbox
     CROSS JOIN ({FIND_PENDING}) AS pending
     CROSS JOIN ({FIND_TROUBLE}) AS trouble
"""  # noqa: S608  made of constants only


async def backlog(db: Connection) -> Backlog:
    """Return what waits, counted up to the bounds above; call outside of a transaction."""
    if found := await _row(db, FIND_ALL, MOST_PAGES):
        return Backlog(**found)
    # One of the three takes too long: the others are known nevertheless.
    inbox = await _row(db, FIND_INBOX, MOST_PAGES)
    pending, trouble = await _row(db, FIND_PENDING), await _row(db, FIND_TROUBLE)
    return Backlog(**inbox, **pending, **trouble)


async def _row(db: Connection, query: str, *args: object) -> Mapping[str, Any]:
    """The figures of one statement; none if it takes too long."""
    rows = await fetch_step(db, query, *args)
    return {} if rows is None else dict(rows[0])
