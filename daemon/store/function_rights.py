"""
Who else can make use of the functions that run as their owner.

The rule: only the triggers of our own tables call them. A role with EXECUTE could put one on a
table of its own, and have its own functions called with the rights of the owner. Those that make
and drop partitions are no triggers, and take only a number or an interval: the daemon's role calls
them.
"""

from dataclasses import dataclass

from daemon.store.session import Connection


@dataclass(frozen=True, slots=True)
class Executor:
    """A role that may execute a function; `role` is PUBLIC where everyone may. Both are quoted."""

    function: str
    role: str


@dataclass(frozen=True, slots=True)
class ForeignTrigger:
    """A trigger on a table that is none of ours; each name is quoted."""

    name: str
    table: str
    function: str


# Exactly typed: overloads of other roles must not decide what is found.
OWNER_FUNCTIONS = r"""
    owner_functions AS MATERIALIZED (
        SELECT p.oid, p.oid::regprocedure::text AS name, p.proowner AS owner,
               p.prorettype = 'trigger'::regtype::oid AS is_trigger,
               COALESCE(p.proacl, pg_catalog.acldefault('f'::"char", p.proowner)) AS acl
          FROM pg_catalog.pg_proc AS p
         WHERE p.prosecdef AND p.proname::text LIKE 'webhook%'
           AND p.pronamespace = (SELECT c.relnamespace FROM pg_catalog.pg_class AS c
                                  WHERE c.oid = to_regclass('webhook_event_inbox'::text)::oid)
    )"""

FIND_EXECUTORS = f"""
    WITH {OWNER_FUNCTIONS}
    SELECT DISTINCT f.name AS function,
           CASE WHEN acl.grantee = '0'::oid THEN 'PUBLIC'::text
                ELSE pg_catalog.quote_ident(r.rolname::text) END AS role
      FROM owner_functions AS f
     CROSS JOIN LATERAL pg_catalog.aclexplode(f.acl) AS acl
      LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = acl.grantee
     WHERE acl.grantee <> f.owner AND r.rolsuper IS NOT TRUE
       AND r.rolname IS DISTINCT FROM current_user
       -- A role that has a daemon's rights is one.
       AND (f.is_trigger OR r.oid IS NULL
            OR NOT pg_catalog.has_table_privilege(
                       r.oid, to_regclass('webhook_deliveries'::text)::oid, 'DELETE'::text)
            OR NOT pg_catalog.has_table_privilege(
                       r.oid, to_regclass('webhook_event_inbox'::text)::oid, 'UPDATE'::text))
     ORDER BY 1, 2
"""  # noqa: S608  made of constants only


async def executors(db: Connection) -> list[Executor]:
    """
    Roles that may execute such a function, besides its owner, superusers and this role.

    Daemons' roles may make and drop partitions.
    """
    return [Executor(row["function"], row["role"]) for row in await db.fetch(FIND_EXECUTORS)]


FIND_FOREIGN_TRIGGERS = f"""
    WITH {OWNER_FUNCTIONS}
    SELECT pg_catalog.quote_ident(t.tgname::text) AS name, t.tgrelid::regclass::text AS on_table,
           f.name AS function
      FROM owner_functions AS f
      JOIN pg_catalog.pg_trigger AS t ON t.tgfoid = f.oid
     WHERE t.tgparentid = '0'::oid  -- else it came with a partition
       AND t.tgrelid IS DISTINCT FROM to_regclass('webhook_events'::text)::oid
       AND t.tgrelid IS DISTINCT FROM to_regclass('webhooks'::text)::oid
     ORDER BY 1, 2
"""  # noqa: S608  made of constants only


async def foreign_triggers(db: Connection) -> list[ForeignTrigger]:
    """Triggers on other tables than ours that call such a function."""
    return [
        ForeignTrigger(row["name"], row["on_table"], row["function"])
        for row in await db.fetch(FIND_FOREIGN_TRIGGERS)
    ]
