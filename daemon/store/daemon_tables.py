"""
Other roles that can write the tables of operators' decisions.

The rule: what the application writes into its own tables gives it no right of an operator. Marks of
operators' webhooks, holds, the installation's name and sessions of the console are in tables that a
role of the application may not write.
"""

from dataclasses import dataclass

from daemon.store.session import Connection

TABLES = (
    "webhook_operator_scopes",
    "webhook_holds",
    "webhook_installation",
    "webhook_tenant_tokens",
    "webhook_portal_links",
    "webhook_operator_sessions",
)


@dataclass(frozen=True, slots=True)
class Writer:
    """A role of the application that may write a table; both are quoted."""

    role: str
    table: str


FIND_WRITERS = """
    WITH application AS MATERIALIZED (
        -- Roles that may insert what the application inserts, and cannot do what a daemon does.
        SELECT r.oid, pg_catalog.quote_ident(r.rolname::text) AS name
          FROM pg_catalog.pg_roles AS r
         WHERE NOT r.rolsuper AND r.rolname <> current_user
           AND (pg_catalog.has_any_column_privilege(
                       r.oid, to_regclass('webhooks'::text)::oid, 'INSERT'::text)
                OR pg_catalog.has_any_column_privilege(
                       r.oid, to_regclass('webhook_events'::text)::oid, 'INSERT'::text))
           AND NOT (pg_catalog.has_table_privilege(
                           r.oid, to_regclass('webhook_deliveries'::text)::oid, 'DELETE'::text)
                    AND pg_catalog.has_table_privilege(
                           r.oid, to_regclass('webhook_event_inbox'::text)::oid, 'UPDATE'::text))
    )
    SELECT application.name AS role, wanted.name AS on_table
      FROM application
     CROSS JOIN pg_catalog.unnest($1::text[]) AS wanted (name)
     WHERE pg_catalog.has_table_privilege(application.oid, to_regclass(wanted.name)::oid,
                                          'INSERT, UPDATE, DELETE, TRUNCATE'::text)
        OR pg_catalog.has_any_column_privilege(application.oid, to_regclass(wanted.name)::oid,
                                               'INSERT, UPDATE'::text)
     ORDER BY 1, 2
"""


async def writers(db: Connection) -> list[Writer]:
    """
    Roles of the application that may write such a table, by whatever grant.

    Owners and superusers may do anything, and a role with a daemon's rights is a daemon's.
    """
    rows = await db.fetch(FIND_WRITERS, TABLES)
    return [Writer(row["role"], row["on_table"]) for row in rows]
