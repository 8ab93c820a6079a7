"""
The state of the whole installation, for operators: database, mail queue, failing hosts.

The rule: each statement reads a bounded number of rows, whatever the tables hold.
"""

from daemon.core.model.system import DatabaseState, FailingHost, MailQueue
from daemon.store.session import Connection
from daemon.store.tenant_overview import IN_TROUBLE
from daemon.store.webhook_limits import HOST

MOST_COUNTED = 10_000
MOST_FAILING, MOST_HOSTS = 2000, 20

FIND_DATABASE = f"""
    WITH RECURSIVE family (root, oid) AS (
        SELECT named.root, pg_catalog.to_regclass(named.root)::oid
          FROM pg_catalog.unnest(ARRAY['webhook_deliveries', 'webhook_events']) AS named (root)
         UNION ALL
        SELECT f.root, i.inhrelid
          FROM family AS f JOIN pg_catalog.pg_inherits AS i ON i.inhparent = f.oid
    ), relation AS MATERIALIZED (
        SELECT f.root, c.relkind, c.relname,
               pg_catalog.pg_total_relation_size(c.oid::regclass) AS bytes
          FROM family AS f JOIN pg_catalog.pg_class AS c ON c.oid = f.oid
    ), sizes AS MATERIALIZED (
        SELECT coalesce(pg_catalog.sum(bytes) FILTER (WHERE root = 'webhook_deliveries'), 0)::bigint
                   AS deliveries,
               coalesce(pg_catalog.sum(bytes) FILTER (WHERE root = 'webhook_events'), 0)::bigint
                   AS events,
               pg_catalog.count(*) FILTER (WHERE root = 'webhook_deliveries' AND relkind = 'r'
                                                 AND relname <> 'webhook_deliveries') AS partitions
          FROM relation
    ), sessions AS MATERIALIZED (
        SELECT pg_catalog.count(*) AS connections,
               pg_catalog.min(xact_start) FILTER (
                   WHERE datname = pg_catalog.current_database()
                         AND pid <> pg_catalog.pg_backend_pid()) AS oldest
          FROM pg_catalog.pg_stat_activity
         WHERE backend_type = 'client backend' OR backend_type IS NULL
    )
    SELECT pg_catalog.current_setting('server_version'::text) AS version,
           pg_catalog.pg_database_size(d.oid) AS database_bytes,
           sizes.deliveries AS deliveries_bytes, sizes.events AS events_bytes, sizes.partitions,
           (SELECT pg_catalog.count(*)
              FROM (SELECT FROM webhook_event_inbox LIMIT {MOST_COUNTED}) AS few) AS waiting_events,
           sessions.connections,
           pg_catalog.current_setting('max_connections'::text)::int AS max_connections,
           extract(epoch FROM now() - sessions.oldest)::float8 AS oldest_transaction_seconds,
           pg_catalog.pg_notification_queue_usage() AS notification_queue_usage
      FROM pg_catalog.pg_database AS d CROSS JOIN sizes CROSS JOIN sessions
     WHERE d.datname = pg_catalog.current_database()
"""  # noqa: S608  made of constants only


async def database_state(db: Connection) -> DatabaseState:
    """Return how the database is doing."""
    return DatabaseState(**await db.fetchrow(FIND_DATABASE))


FIND_MAILS = f"""
    SELECT (SELECT pg_catalog.count(*)
              FROM (SELECT FROM webhook_notices
                     WHERE sent_at IS NULL AND due_at < 'infinity'
                     LIMIT {MOST_COUNTED}) AS few) AS waiting,
           (SELECT pg_catalog.count(*)
              FROM (SELECT FROM webhook_notices
                     WHERE sent_at IS NULL AND due_at = 'infinity'
                     LIMIT {MOST_COUNTED}) AS few) AS given_up,
           extract(epoch FROM now() - (
               SELECT due_at FROM webhook_notices
                WHERE sent_at IS NULL AND due_at <= now()
                ORDER BY due_at LIMIT 1))::float8 AS oldest_seconds
"""  # noqa: S608  made of constants only


async def mail_queue(db: Connection) -> MailQueue:
    """Return how many notices wait to be mailed."""
    return MailQueue(**await db.fetchrow(FIND_MAILS))


FIND_HOSTS = f"""
    WITH failing AS MATERIALIZED (
        SELECT tenant_id, failing_since, consecutive_failures, {HOST} AS host
          FROM (SELECT tenant_id, failing_since, consecutive_failures,
                       left(endpoint_url, 2048) AS endpoint_url
                  FROM webhooks
                 WHERE {IN_TROUBLE} AND is_active
                 LIMIT {MOST_FAILING}) AS few
    )
    SELECT host, pg_catalog.count(*) AS webhooks, pg_catalog.count(DISTINCT tenant_id) AS tenants,
           pg_catalog.min(failing_since) AS failing_since,
           pg_catalog.max(consecutive_failures) AS failures
      FROM failing
     GROUP BY host
     ORDER BY webhooks DESC, failing_since
     LIMIT {MOST_HOSTS}
"""  # noqa: S608  made of constants only


async def failing_hosts(db: Connection) -> list[FailingHost]:
    """Return the hosts with most failing webhooks, most first."""
    return [FailingHost(**row) for row in await db.fetch(FIND_HOSTS)]
