"""
The triggers by which daemons notice rows, and what keeps them from firing.

Without them a table still takes rows, and nothing shows that these are noticed by no daemon.
"""

from daemon.core.model.webhook_inspection import DisabledTrigger
from daemon.store.session import Connection

DISABLED_TRIGGERS = """
    SELECT wanted.name, wanted.on_table
      FROM (VALUES ('webhook_events_arrived', 'webhook_events'),
                   ('webhook_events_data_changed', 'webhook_events'),
                   ('webhook_deliveries_due', 'webhook_deliveries'),
                   ('webhook_deliveries_of_application', 'webhook_deliveries'),
                   ('webhook_deliveries_due_now', 'webhook_deliveries'),
                   ('webhooks_resumed', 'webhooks'),
                   ('webhooks_subscribed', 'webhooks'),
                   ('webhooks_switched', 'webhooks'),
                   ('webhooks_subscription_changed', 'webhooks'),
                   ('webhooks_history_of_state', 'webhooks'),
                   ('webhooks_history_of_settings', 'webhooks'),
                   ('webhooks_history_of_deletion', 'webhooks'),
                   ('webhooks_scope_changed', 'webhooks'),
                   ('webhooks_paused_by_person', 'webhooks'),
                   ('webhooks_keep_of_operator', 'webhooks'),
                   ('webhooks_secret_written', 'webhooks'),
                   ('webhooks_fresh_start', 'webhooks'),
                   ('webhooks_end_of_spacing', 'webhooks')) AS wanted (name, on_table)
      LEFT JOIN pg_trigger AS t ON t.tgname = wanted.name AND t.tgrelid = to_regclass(on_table)::oid
     WHERE t.tgenabled IS DISTINCT FROM 'O' AND t.tgenabled IS DISTINCT FROM 'A'
"""


async def disabled_triggers(db: Connection) -> list[DisabledTrigger]:
    """The schema's triggers that are disabled or missing."""
    return [
        DisabledTrigger(row["name"], row["on_table"]) for row in await db.fetch(DISABLED_TRIGGERS)
    ]


# Of the ordinary triggers. `migrate --subscriber` makes one for such sessions.
FIRES_NONE = """
    SELECT pg_catalog.current_setting('session_replication_role'::text) = 'replica'::text
           AS is_own,
           EXISTS (SELECT
                     FROM pg_catalog.pg_db_role_setting AS s
                     LEFT JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase
                    WHERE s.setrole = 0::oid
                      AND (s.setdatabase = 0::oid OR d.datname = pg_catalog.current_database())
                      AND 'session_replication_role=replica'::text = ANY (s.setconfig)) AS is_all,
           EXISTS (SELECT
                     FROM pg_catalog.pg_trigger AS t
                    WHERE t.tgname = 'webhook_events_replicated'::name
                      AND t.tgrelid = to_regclass('webhook_events'::text)::oid
                      AND t.tgenabled IN ('R'::"char", 'A'::"char")) AS is_subscriber
"""


async def fires_none(db: Connection) -> tuple[bool, bool]:
    """
    Whether `session_replication_role` keeps triggers from firing: in this session, and in new ones.

    New ones of any role: by a setting of the database.
    """
    row = await db.fetchrow(FIRES_NONE)
    if row["is_subscriber"]:
        return False, False
    return row["is_own"], row["is_all"] or row["is_own"]
