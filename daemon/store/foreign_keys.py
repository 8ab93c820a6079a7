"""
Foreign keys between our tables and tables of roles that are not trusted.

PostgreSQL checks a foreign key by a query in the session of whoever writes the row. It runs as the
owner of the other table, but what that owner attached to it (expressions of indexes and statistics,
triggers) may leave temporary objects, settings and deferred triggers in the session, which then
run with the rights of the session's role. The rule: such an owner has these rights, so it is named.
"""

from dataclasses import dataclass

from daemon.store.schema_trust import OURS, TABLES
from daemon.store.session import Connection


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """
    A foreign key of `table`, between a table of ours and one that belongs to another role.

    `other` is that table, or a partition of it, `role` its owner; `owner` owns the table of ours.
    All names are quoted.
    """

    name: str
    table: str
    other: str
    role: str
    owner: str

    @property
    def sentence(self) -> str:
        """Whose rights its check gives away, for the operator, with the remedies."""
        return (
            f"{self.other} belongs to {self.role}, and PostgreSQL checks the foreign key"
            f" {self.name} of {self.table} in sessions of the daemon, whose rights {self.role} can"
            f" take: ALTER TABLE {self.other} OWNER TO {self.owner}, and GRANT {self.role} what it"
            f" needs on it; or ALTER TABLE {self.table} DROP CONSTRAINT {self.name}"
        )


FIND_UNTRUSTED = f"""
    WITH {OURS}, keys AS MATERIALIZED (
        SELECT k.conname, k.conrelid, k.confrelid AS other, o.owner, o.schema_owner
          FROM ours AS o JOIN pg_catalog.pg_constraint AS k ON k.conrelid = o.oid
         WHERE k.contype = 'f'::"char" AND k.conparentid = '0'::oid
         UNION ALL
        SELECT k.conname, k.conrelid, k.conrelid, o.owner, o.schema_owner
          FROM ours AS o JOIN pg_catalog.pg_constraint AS k ON k.confrelid = o.oid
         WHERE k.contype = 'f'::"char" AND k.conparentid = '0'::oid
    )
    SELECT DISTINCT pg_catalog.quote_ident(k.conname::text) AS name,
           k.conrelid::regclass::text AS on_table, c.oid::regclass::text AS other,
           pg_catalog.quote_ident(r.rolname::text) AS role,
           pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(k.owner)::text) AS owner
      FROM keys AS k
     CROSS JOIN LATERAL (
              SELECT k.other AS oid
               UNION
              SELECT p.relid::oid FROM pg_catalog.pg_partition_tree(k.other::regclass) AS p
           ) AS part
      JOIN pg_catalog.pg_class AS c ON c.oid = part.oid
      JOIN pg_catalog.pg_roles AS r ON r.oid = c.relowner
     WHERE c.oid NOT IN (SELECT o.oid FROM ours AS o)
       AND c.relowner <> k.owner AND c.relowner IS DISTINCT FROM k.schema_owner
       AND c.relowner NOT IN (SELECT t.oid FROM trusted AS t)
     ORDER BY 2, 1, 3
"""  # noqa: S608  made of constants only


async def untrusted(db: Connection) -> list[ForeignKey]:
    """The foreign keys in whose checks code of a role runs that is not trusted."""
    return [ForeignKey(*row) for row in await db.fetch(FIND_UNTRUSTED, TABLES)]
