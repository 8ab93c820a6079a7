"""
Whether the tables that our SQL names are ours, and which code of other roles they would run.

An object with the name of our table may be another role's: a view, whose functions run with the
rights of its reader; a table, whose triggers run with those of its writer, and whose policies and
index predicates with those of its reader. The rule: a name is looked at here before the first
statement that uses it. Each query is exactly typed, and without a type that asyncpg would look up.
"""

from dataclasses import dataclass

from daemon.store.privileges import NEEDED
from daemon.store.session import Connection
from daemon.store.trusted_roles import TRUSTED

TABLES = ",".join(NEEDED)


@dataclass(frozen=True, slots=True)
class FoundTable:
    """
    An object named like a table of ours; `name`, the `qualified` name and its owner are quoted.

    `fault` says why it must not be used: "kind" (no ordinary table), "owner" (of a role that is not
    trusted), or "rows" (row security applies to this role). None if it may be used.
    """

    name: str
    qualified: str
    role: str
    fault: str | None

    def __str__(self) -> str:
        match self.fault:
            case "kind":
                return f"{self.name} of role {self.role} is no ordinary table: drop it"
            case "owner":
                return (
                    f"the table {self.name} belongs to role {self.role}, which may not be trusted:"
                    f" drop it, or migrate as {self.role} if it is the owner of webhookd's tables"
                )
            case _:
                return (
                    f"row security of the table {self.name} applies to this role:"
                    f" ALTER TABLE {self.name} DISABLE ROW LEVEL SECURITY"
                )


# The tables with these names, and their partitions and other children. The owner of the schema in
# which `webhookd migrate` creates tables is trusted too, unless it has this role's name: such a
# schema is searched first, even if another role created it.
OURS = f"""
    RECURSIVE named AS MATERIALIZED (
        SELECT pg_catalog.to_regclass(name)::oid AS oid
          FROM pg_catalog.unnest(pg_catalog.string_to_array($1::text, ','::text)) AS name
    ), family (oid) AS (
        SELECT n.oid FROM named AS n WHERE n.oid IS NOT NULL
         UNION
        SELECT i.inhrelid FROM family AS f JOIN pg_catalog.pg_inherits AS i ON i.inhparent = f.oid
    ), {TRUSTED}, ours AS MATERIALIZED (
        SELECT c.oid, c.oid::regclass::text AS name, c.relkind AS kind, c.relowner AS owner,
               pg_catalog.format('%I.%I'::text, s.nspname, c.relname) AS qualified,
               CASE WHEN s.nspname = pg_catalog.current_schema() AND s.nspname <> current_user
                    THEN s.nspowner END AS schema_owner,
               EXISTS (SELECT FROM pg_catalog.aclexplode(s.nspacl) AS acl
                        WHERE acl.grantee = '0'::oid AND acl.privilege_type = 'CREATE')
                   AS anyone_creates
          FROM family AS f
          JOIN pg_catalog.pg_class AS c ON c.oid = f.oid
          JOIN pg_catalog.pg_namespace AS s ON s.oid = c.relnamespace
    )"""  # noqa: S608  made of constants only

FIND_TABLES = f"""
    WITH {OURS}
    SELECT o.name, o.qualified, pg_catalog.quote_ident(r.rolname::text) AS role,
           CASE WHEN o.kind NOT IN ('r', 'p') THEN 'kind'::text
                WHEN o.owner IS DISTINCT FROM o.schema_owner
                     AND o.owner NOT IN (SELECT t.oid FROM trusted AS t)
                     AND ($2::boolean OR o.anyone_creates) THEN 'owner'::text
                WHEN pg_catalog.row_security_active(o.oid) THEN 'rows'::text
           END AS fault
      FROM ours AS o JOIN pg_catalog.pg_roles AS r ON r.oid = o.owner
     ORDER BY 1
"""  # noqa: S608  made of constants only


async def find_tables(db: Connection, *, strict: bool, tables: str = TABLES) -> list[FoundTable]:
    """
    Those of the `tables` (names, separated by commas) that exist, and whether they may be used.

    A daemon need not own its tables: unless `strict`, any owner is trusted where not everyone may
    create tables.
    """
    return [FoundTable(*row) for row in await db.fetch(FIND_TABLES, tables, strict)]


@dataclass(frozen=True, slots=True)
class ForeignCode:
    """A function, operator or type of another role that would run when a table of ours is used."""

    table: str
    part: str
    name: str
    role: str

    @property
    def sentence(self) -> str:
        """The dependency, for the operator."""
        return f"{self.part} of the table {self.table} uses {self.name} of role {self.role}"

    @property
    def runs_in_reads(self) -> bool:
        """Whether it may run when the table is only read, or a foreign key to it is checked."""
        return not self.part.startswith(("trigger ", "rule "))


# Whatever runs for a row is attached to its table by one of these, and depends on what it calls.
FIND_FOREIGN_CODE = f"""
    WITH {OURS}, attached AS MATERIALIZED (
        SELECT t.tgrelid AS relation, 'trigger '::text AS kind, t.tgname AS name,
               'pg_catalog.pg_trigger'::regclass::oid AS class, t.oid
          FROM ours AS o JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = o.oid
         WHERE NOT t.tgisinternal
         UNION ALL
        SELECT r.ev_class, 'rule '::text, r.rulename, 'pg_catalog.pg_rewrite'::regclass::oid, r.oid
          FROM ours AS o JOIN pg_catalog.pg_rewrite AS r ON r.ev_class = o.oid
         UNION ALL
        SELECT p.polrelid, 'policy '::text, p.polname, 'pg_catalog.pg_policy'::regclass::oid, p.oid
          FROM ours AS o JOIN pg_catalog.pg_policy AS p ON p.polrelid = o.oid
         UNION ALL
        SELECT c.conrelid, 'constraint '::text, c.conname,
               'pg_catalog.pg_constraint'::regclass::oid, c.oid
          FROM ours AS o JOIN pg_catalog.pg_constraint AS c ON c.conrelid = o.oid
         UNION ALL
        SELECT x.indrelid, 'index '::text, c.relname, 'pg_catalog.pg_class'::regclass::oid, c.oid
          FROM ours AS o
          JOIN pg_catalog.pg_index AS x ON x.indrelid = o.oid
          JOIN pg_catalog.pg_class AS c ON c.oid = x.indexrelid
         UNION ALL
        SELECT s.stxrelid, 'statistics '::text, s.stxname,
               'pg_catalog.pg_statistic_ext'::regclass::oid, s.oid
          FROM ours AS o JOIN pg_catalog.pg_statistic_ext AS s ON s.stxrelid = o.oid
         UNION ALL
        SELECT d.adrelid, 'column '::text, a.attname, 'pg_catalog.pg_attrdef'::regclass::oid, d.oid
          FROM ours AS o
          JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = o.oid
          JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
    ), called AS MATERIALIZED (
        SELECT a.relation, a.kind, a.name, p.oid::regprocedure::text AS code, p.proowner AS role
          FROM attached AS a
          JOIN pg_catalog.pg_depend AS d ON d.classid = a.class AND d.objid = a.oid
          JOIN pg_catalog.pg_proc AS p ON p.oid = d.refobjid
         WHERE d.refclassid = 'pg_catalog.pg_proc'::regclass::oid
         UNION ALL
        SELECT a.relation, a.kind, a.name, p.oid::regoperator::text, p.oprowner
          FROM attached AS a
          JOIN pg_catalog.pg_depend AS d ON d.classid = a.class AND d.objid = a.oid
          JOIN pg_catalog.pg_operator AS p ON p.oid = d.refobjid
         WHERE d.refclassid = 'pg_catalog.pg_operator'::regclass::oid
         UNION ALL
        SELECT a.attrelid, 'column '::text, a.attname, t.oid::regtype::text, t.typowner
          FROM ours AS o
          JOIN pg_catalog.pg_attribute AS a ON a.attrelid = o.oid
          JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
         WHERE a.attnum > 0
    )
    SELECT DISTINCT o.name AS on_table, c.kind || pg_catalog.quote_ident(c.name::text) AS part,
           c.code, pg_catalog.quote_ident(r.rolname::text) AS role
      FROM called AS c
      JOIN ours AS o ON o.oid = c.relation
      JOIN pg_catalog.pg_roles AS r ON r.oid = c.role
     WHERE c.role <> o.owner AND c.role IS DISTINCT FROM o.schema_owner
       AND c.role NOT IN (SELECT t.oid FROM trusted AS t)
     ORDER BY 1, 2, 3
"""  # noqa: S608  made of constants only


async def foreign_code(db: Connection, tables: str = TABLES) -> list[ForeignCode]:
    """Code of untrusted roles that the `tables` (names, separated by commas) would run."""
    return [
        ForeignCode(row["on_table"], row["part"], row["code"], row["role"])
        for row in await db.fetch(FIND_FOREIGN_CODE, tables)
    ]


@dataclass(frozen=True, slots=True)
class Attacher:
    """A role that may attach code of its own to a table of ours; the names are quoted."""

    table: str
    role: str
    privilege: str


# A foreign key is checked with the rights of the owner of the table that it refers to, and the cast
# of its column may be a function of the role that created it.
FIND_ATTACHERS = f"""
    WITH {OURS}
    SELECT DISTINCT o.name AS on_table, acl.privilege_type AS privilege,
           CASE WHEN acl.grantee = '0'::oid THEN 'PUBLIC'::text
                ELSE pg_catalog.quote_ident(r.rolname::text) END AS role
      FROM ours AS o
      JOIN pg_catalog.pg_class AS c ON c.oid = o.oid
     CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS acl
      LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = acl.grantee
     WHERE acl.privilege_type IN ('TRIGGER', 'REFERENCES')
       AND acl.grantee <> o.owner AND acl.grantee IS DISTINCT FROM o.schema_owner
       AND acl.grantee NOT IN (SELECT t.oid FROM trusted AS t)
     ORDER BY 1, 3, 2
"""  # noqa: S608  made of constants only


async def attachers(db: Connection) -> list[Attacher]:
    """Roles that may create triggers on our tables, or foreign keys that refer to them."""
    rows = await db.fetch(FIND_ATTACHERS, TABLES)
    return [Attacher(row["on_table"], row["role"], row["privilege"]) for row in rows]


FIND_LESSER_OWNERS = f"""
    WITH {OURS}
    SELECT DISTINCT pg_catalog.quote_ident(r.rolname::text) AS role
      FROM ours AS o
      JOIN pg_catalog.pg_roles AS r ON r.oid = o.owner
     CROSS JOIN me
     WHERE me.rolsuper AND NOT r.rolsuper
     ORDER BY 1
"""  # noqa: S608  made of constants only


async def lesser_owners(db: Connection) -> list[str]:
    """Owners of our tables who are no superusers, if this role is one: it runs what they attach."""
    return [row["role"] for row in await db.fetch(FIND_LESSER_OWNERS, TABLES)]
