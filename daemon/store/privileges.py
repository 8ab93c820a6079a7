"""Which rights the daemon's role needs, and which it lacks."""

# What the daemon's own statements do to each table.
NEEDED = {
    "webhooks": ("SELECT", "UPDATE"),
    "webhook_deliveries": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "webhook_events": ("SELECT", "UPDATE", "DELETE"),
    "webhook_event_inbox": ("SELECT", "UPDATE", "DELETE"),
    "webhook_notices": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "webhook_replays": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "webhookd_migrations": ("SELECT",),
}


NEEDED_BY_API = [("webhooks", "INSERT"), ("webhooks", "DELETE")]


LACKING = """
    SELECT needed.name, needed.privilege, to_regclass(needed.name) IS NULL AS unseen,
           current_user::text AS role
      FROM unnest($1::text[], $2::text[]) AS needed (name, privilege)
     WHERE to_regclass(needed.name) IS NULL
        OR NOT has_table_privilege(to_regclass(needed.name), needed.privilege)
"""


# Functions that may have been taken from PUBLIC. Those of triggers run whoever may call them.
FUNCTIONS = ("pg_notify(text, text)", "pg_current_snapshot()")


LACKING_FUNCTIONS = """
    SELECT name, current_user::text AS role
      FROM unnest($1::text[]) AS name
     WHERE to_regprocedure(name) IS NULL
        OR NOT has_function_privilege(to_regprocedure(name), 'EXECUTE')
"""


# Without its triggers a table still takes rows, and nobody hears of them.
SILENT_TRIGGERS = """
    SELECT wanted.name, wanted.on_table
      FROM (VALUES ('webhook_events_arrived', 'webhook_events'),
                   ('webhook_deliveries_due', 'webhook_deliveries'),
                   ('webhooks_resumed', 'webhooks'),
                   ('webhooks_secret_written', 'webhooks'),
                   ('webhooks_fresh_start', 'webhooks')) AS wanted (name, on_table)
      LEFT JOIN pg_trigger AS t ON t.tgname = wanted.name AND t.tgrelid = to_regclass(on_table)
     WHERE t.tgenabled IS DISTINCT FROM 'O' AND t.tgenabled IS DISTINCT FROM 'A'
"""
