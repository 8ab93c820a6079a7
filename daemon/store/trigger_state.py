"""
The triggers by which daemons notice rows, and what keeps them from firing.

Without them a table still takes rows, and nothing shows that these are noticed by no daemon.
"""

from dataclasses import dataclass

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
                   ('webhooks_keep_id', 'webhooks'),
                   ('webhooks_secret_written', 'webhooks'),
                   ('webhooks_fresh_start', 'webhooks'),
                   ('webhooks_end_of_spacing', 'webhooks')) AS wanted (name, on_table)
      LEFT JOIN pg_trigger AS t ON t.tgname = wanted.name AND t.tgrelid = to_regclass(on_table)::oid
     WHERE t.tgenabled IS DISTINCT FROM 'O' AND t.tgenabled IS DISTINCT FROM 'A'
"""

# One statement, for an idle daemon asks again and again. `is_own` and `is_all`: ordinary triggers
# do not fire in this session, and in new ones. `migrate --subscriber` makes one for such sessions.
STATE = f"""
    SELECT ARRAY(SELECT ARRAY[name, on_table] FROM ({DISABLED_TRIGGERS}) AS found) AS disabled,
           pg_catalog.current_setting('session_replication_role'::text) = 'replica'::text
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
"""  # noqa: S608  made of constants only


@dataclass(frozen=True, slots=True)
class TriggerState:
    """
    The schema's triggers that are `disabled` or missing, and whether none fires.

    `own_sessions_fire_none`: in this session, because of its `session_replication_role`.
    `fires_none`: there, or in new sessions of any role, by a setting of the database.
    """

    disabled: list[DisabledTrigger]
    own_sessions_fire_none: bool
    fires_none: bool


async def read(db: Connection) -> TriggerState:
    """Return the state of this database's triggers."""
    row = await db.fetchrow(STATE)
    matters = not row["is_subscriber"]
    return TriggerState(
        [DisabledTrigger(name, on_table) for name, on_table in row["disabled"]],
        own_sessions_fire_none=matters and row["is_own"],
        fires_none=matters and (row["is_own"] or row["is_all"]),
    )
