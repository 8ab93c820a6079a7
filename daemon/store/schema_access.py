"""
Other roles that may create functions and operators where our SQL looks names up, and theirs.

PostgreSQL prefers a function or operator whose argument types fit better, in whatever schema of the
search_path it is, and runs it with the rights of the role that called it.
"""

from dataclasses import dataclass

from daemon.store.session import Connection


@dataclass(frozen=True, slots=True)
class Creator:
    """A role that may create in a schema; `role` is PUBLIC where everyone may. Both are quoted."""

    schema: str
    role: str


@dataclass(frozen=True, slots=True)
class ForeignOverload:
    """A function or operator of another role with the name of one that our SQL may call."""

    role: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name} of role {self.role}"


# The schemas in which our SQL looks names up, and the roles that may do anything in them. Every
# name and type here is exact: a hostile overload must not decide what is found.
SEARCHED = """
    searched AS MATERIALIZED (
        SELECT n.oid, n.nspname AS name, n.nspacl AS acl, n.nspowner AS owner,
               (SELECT c.relowner FROM pg_catalog.pg_class AS c
                 WHERE c.oid = pg_catalog.to_regclass('webhook_event_inbox'::text)::oid)
                   AS table_owner
          FROM pg_catalog.pg_namespace AS n
         WHERE n.nspname = ANY (pg_catalog.current_schemas(false))
    ), untrusted AS MATERIALIZED (
        SELECT s.oid AS schema, r.oid, r.rolname AS name
          FROM searched AS s
         CROSS JOIN pg_catalog.pg_roles AS r
         WHERE NOT r.rolsuper AND r.oid IS DISTINCT FROM s.table_owner
           AND r.rolname <> current_user
           -- A schema with this role's name is searched first, even if another created it.
           AND (r.oid <> s.owner OR s.name = current_user)
    )"""

FIND_CREATORS = f"""
    WITH {SEARCHED}
    SELECT pg_catalog.quote_ident(s.name::text) AS schema,
           CASE WHEN acl.grantee = '0'::oid THEN 'PUBLIC'::text
                ELSE pg_catalog.quote_ident(u.name::text) END AS role
      FROM searched AS s
     CROSS JOIN LATERAL pg_catalog.aclexplode(s.acl) AS acl
      LEFT JOIN untrusted AS u ON u.schema = s.oid AND u.oid = acl.grantee
     WHERE acl.privilege_type = 'CREATE' AND (u.oid IS NOT NULL OR acl.grantee = '0'::oid)
     ORDER BY 1, 2
"""  # noqa: S608  made of constants only


async def creators(db: Connection) -> list[Creator]:
    """Roles that may create in these schemas, besides owners, superusers and this role."""
    return [Creator(row["schema"], row["role"]) for row in await db.fetch(FIND_CREATORS)]


FIND_FOREIGN_OVERLOADS = f"""
    WITH {SEARCHED}
    SELECT u.name::text AS role, 'FUNCTION'::text AS kind, p.oid::regprocedure::text AS name
      FROM untrusted AS u
      JOIN pg_catalog.pg_proc AS p ON p.pronamespace = u.schema AND p.proowner = u.oid
     WHERE EXISTS (SELECT FROM pg_catalog.pg_proc AS o
                    WHERE o.proname = p.proname AND o.oid <> p.oid
                      AND (o.pronamespace = 'pg_catalog'::regnamespace::oid
                           OR o.pronamespace = p.pronamespace AND o.proowner <> p.proowner))
     UNION ALL
    SELECT u.name::text, 'OPERATOR'::text, p.oid::regoperator::text
      FROM untrusted AS u
      JOIN pg_catalog.pg_operator AS p ON p.oprnamespace = u.schema AND p.oprowner = u.oid
     WHERE EXISTS (SELECT FROM pg_catalog.pg_operator AS o
                    WHERE o.oprname = p.oprname
                      AND o.oprnamespace = 'pg_catalog'::regnamespace::oid)
     ORDER BY 1, 2, 3
"""  # noqa: S608  made of constants only


async def foreign_overloads(db: Connection) -> list[ForeignOverload]:
    """Functions and operators of other roles that may be preferred to PostgreSQL's or ours."""
    return [
        ForeignOverload(row["role"], row["kind"], row["name"])
        for row in await db.fetch(FIND_FOREIGN_OVERLOADS)
    ]
