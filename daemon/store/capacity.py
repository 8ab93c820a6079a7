"""
The installation's limits, and how much of each is used: PostgreSQL's own, and those of tenants.

Sizes and ages stand beside them, which have no limit but the disk's.
"""

from daemon.core.model.capacity import Usage
from daemon.core.policy.webhook_limits import WebhookLimits
from daemon.store.session import Connection
from daemon.store.system_state import MOST_COUNTED, database_state
from daemon.store.webhook_limits import HOST, URL

# PostgreSQL assigns no transaction number when only three million are left before they wrap around.
LAST_TRANSACTION_ID = 2**31 - 3_000_000
# Beyond it nothing notifies: daemons find events by polling (migration 0023).
NOTIFIES_UP_TO_PERCENT = 50

# The application may have made any number, with URLs of any length.
MOST_WEBHOOKS = 50_000

FIND_USAGE = f"""
    WITH looked_at AS MATERIALIZED (
        SELECT tenant_id, {URL} AS endpoint_url
          FROM webhooks WHERE scope::text <> 'operator'
         LIMIT $1
    ), of_tenant AS MATERIALIZED (
        SELECT tenant_id, pg_catalog.count(*) AS count
          FROM looked_at
         GROUP BY tenant_id ORDER BY count DESC LIMIT 1
    ), at_host AS MATERIALIZED (
        SELECT tenant_id, {HOST} AS host, pg_catalog.count(*) AS count
          FROM looked_at
         GROUP BY tenant_id, host ORDER BY count DESC LIMIT 1
    )
    SELECT pg_catalog.current_setting('max_connections'::text)::int
               - pg_catalog.current_setting('superuser_reserved_connections'::text)::int
               AS connections,
           (SELECT pg_catalog.count(*) FROM pg_catalog.pg_locks) AS locks,
           pg_catalog.current_setting('max_locks_per_transaction'::text)::bigint
               * (pg_catalog.current_setting('max_connections'::text)::bigint
                  + pg_catalog.current_setting('max_prepared_transactions'::text)::bigint)
               AS most_locks,
           pg_catalog.age(d.datfrozenxid) AS transaction_ids,
           (SELECT pg_catalog.count(*) FROM looked_at) AS webhooks,
           (SELECT count FROM of_tenant) AS webhooks_of_tenant,
           (SELECT tenant_id FROM of_tenant) AS tenant,
           (SELECT count FROM at_host) AS webhooks_at_host,
           (SELECT tenant_id FROM at_host) AS tenant_at_host,
           (SELECT left(host, 253) FROM at_host) AS host
      FROM pg_catalog.pg_database AS d
     WHERE d.datname = pg_catalog.current_database()
"""  # noqa: S608  HOST is a constant


async def usages(
    db: Connection, limits: WebhookLimits, *, connections_of_daemon: int
) -> list[Usage]:
    """Return what is used of each limit, those with a limit first."""
    state, row = await database_state(db), await db.fetchrow(FIND_USAGE, MOST_WEBHOOKS)
    age = state.oldest_transaction_seconds
    counted = "at least" if state.waiting_events == MOST_COUNTED else ""
    most = (
        f"the most of {MOST_WEBHOOKS} webhooks" if row["webhooks"] == MOST_WEBHOOKS else "the most"
    )
    return [
        Usage(
            *("connections of the server", state.connections, row["connections"]),
            note=f"a daemon takes up to {connections_of_daemon}",
        ),
        Usage("locks of the server", row["locks"], row["most_locks"]),
        Usage(
            "transaction numbers",
            row["transaction_ids"],
            LAST_TRANSACTION_ID,
            note="vacuum gives them back",
        ),
        Usage(
            "notification queue",
            round(100 * state.notification_queue_usage, 1),
            NOTIFIES_UP_TO_PERCENT,
            unit="percent",
            note="beyond the limit, events are found by polling",
        ),
        Usage(
            *("webhooks of a tenant", row["webhooks_of_tenant"] or 0, limits.per_tenant or None),
            note=f"{most}: {row['tenant'] or 'none'}",
        ),
        Usage(
            *("webhooks at one host", row["webhooks_at_host"] or 0, limits.per_host or None),
            note=f"{most}: {row['host'] or 'none'}, of {row['tenant_at_host'] or 'none'}",
        ),
        Usage("events in the inbox", state.waiting_events, None, note=counted),
        Usage("oldest transaction", round(age or 0.0, 1), None, unit="seconds"),
        Usage("partitions of deliveries", state.partitions, None),
        Usage("deliveries on disk", state.deliveries_bytes, None, unit="bytes"),
        Usage("events on disk", state.events_bytes, None, unit="bytes"),
        Usage("database on disk", state.database_bytes, None, unit="bytes"),
    ]
