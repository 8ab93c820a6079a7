"""The rights that the daemon's role needs, and those that it lacks."""

from daemon.core.model.webhook_inspection import MissingPrivilege
from daemon.store.session import Connection

# What the daemon's own statements do to each table.
NEEDED = {
    "webhooks": ("SELECT", "UPDATE"),
    "webhook_deliveries": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "webhook_events": ("SELECT", "UPDATE", "DELETE"),
    "webhook_event_inbox": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "webhook_subscription_changes": ("SELECT", "DELETE"),
    "webhook_history": ("SELECT", "UPDATE", "DELETE"),
    "webhook_notices": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "webhook_replays": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "webhook_replay_results": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "webhook_audit": ("SELECT", "INSERT", "DELETE"),
    "webhook_tenant_tokens": ("SELECT", "DELETE"),
    "webhook_portal_links": ("SELECT", "DELETE"),
    "webhook_operator_sessions": ("SELECT", "DELETE"),
    "webhook_operator_scopes": ("SELECT",),
    "webhook_holds": ("SELECT", "DELETE"),
    "webhook_installation": ("SELECT", "INSERT", "UPDATE"),
    "webhook_idempotency_keys": ("SELECT", "UPDATE", "DELETE"),
    "webhook_unbound_secrets": ("SELECT", "DELETE"),
    "webhook_mail_recipients": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "webhook_operational_events": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "webhook_email_confirmations": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "webhook_stats": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "webhook_stats_totals": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "webhook_stats_batches": ("SELECT", "INSERT", "DELETE"),
    "webhook_stats_progress": ("SELECT", "UPDATE"),
    "webhook_locks": ("SELECT", "UPDATE"),
    "webhook_pacing": ("SELECT", "INSERT", "UPDATE"),
    "webhookd_migrations": ("SELECT",),
}
NEEDED_BY_API = [
    ("webhooks", "INSERT"),
    ("webhooks", "DELETE"),
    ("webhook_tenant_tokens", "INSERT"),
    ("webhook_portal_links", "INSERT"),
    ("webhook_portal_links", "UPDATE"),
    ("webhook_operator_sessions", "INSERT"),
    ("webhook_operator_scopes", "INSERT"),
    ("webhook_operator_scopes", "DELETE"),
    ("webhook_holds", "INSERT"),
    ("webhook_idempotency_keys", "INSERT"),
]

# Functions that may have been revoked from PUBLIC. Trigger functions run without EXECUTE.
FUNCTIONS = (
    "pg_notify(text, text)",
    "pg_notification_queue_usage()",
    "pg_current_snapshot()",
    "pg_postmaster_start_time()",
    "pg_relation_filepath(regclass)",
    "webhook_payload_bytes(jsonb, bigint)",
    "webhook_exploded_bytes(jsonb, bigint)",
    "webhook_add_history_partition(integer)",
    "webhook_drop_history_partition(interval)",
    "webhook_history_partitions()",
    "webhook_history_dependents(interval)",
    "webhook_dependents(oid)",
)


MISSING_ON_TABLES = """
    SELECT needed.name, needed.privilege, to_regclass(needed.name) IS NULL AS unseen,
           current_user::text AS role
      FROM unnest($1::text[], $2::text[]) AS needed (name, privilege)
     WHERE to_regclass(needed.name) IS NULL
        OR NOT pg_catalog.has_table_privilege(to_regclass(needed.name)::oid, needed.privilege)
"""


async def missing_on_tables(db: Connection, *, with_api: bool) -> list[MissingPrivilege]:
    """The table privileges that this connection's role lacks, `with_api` those of the API too."""
    needed = [(table, privilege) for table in NEEDED for privilege in NEEDED[table]]
    if with_api:
        needed += NEEDED_BY_API
    tables, privileges = [table for table, _ in needed], [privilege for _, privilege in needed]
    return [
        MissingPrivilege(row["role"], row["name"], None if row["unseen"] else row["privilege"])
        for row in await db.fetch(MISSING_ON_TABLES, tables, privileges)
    ]


MISSING_ON_FUNCTIONS = """
    SELECT name, current_user::text AS role
      FROM pg_catalog.unnest($1::text[]) AS name
     WHERE to_regprocedure(name) IS NULL
        OR NOT pg_catalog.has_function_privilege(to_regprocedure(name)::oid, 'EXECUTE'::text)
"""


async def missing_on_functions(db: Connection) -> list[MissingPrivilege]:
    """The functions that this connection's role may not execute."""
    return [
        MissingPrivilege(row["role"], row["name"], "EXECUTE")
        for row in await db.fetch(MISSING_ON_FUNCTIONS, FUNCTIONS)
    ]


UNPINNED_FUNCTIONS = r"""
    SELECT p.oid::regprocedure::text AS name
      FROM pg_proc AS p
     WHERE p.prosecdef AND p.proname::text LIKE 'webhook%'
       AND p.pronamespace = (SELECT relnamespace FROM pg_class
                              WHERE oid = to_regclass('webhook_event_inbox'::text)::oid)
       AND NOT EXISTS (SELECT FROM pg_catalog.unnest(p.proconfig) AS setting
                        WHERE setting LIKE 'search\_path=%, pg\_temp')
"""


async def unpinned_functions(db: Connection) -> list[str]:
    """Functions that run as their owner, and that temporary tables could redirect."""
    return [row["name"] for row in await db.fetch(UNPINNED_FUNCTIONS)]


async def current_role(db: Connection) -> str:
    """The name of this connection's role."""
    return str(await db.fetchval("SELECT current_user::text"))
