"""
Catalog facts about the specification's tables that an application has made.

The rule: only the catalog is read, so that nothing of a table runs before it is known what it is.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from daemon.store.session import Connection


@dataclass(frozen=True, slots=True)
class FoundColumn:
    """A column as PostgreSQL prints it."""

    type: str
    not_null: bool
    default: str | None
    is_generated: bool

    @property
    def is_zoneless(self) -> bool:
        """Whether it is a time without time zone, of whatever precision."""
        return re.fullmatch(r"timestamp(\(\d\))? without time zone", self.type) is not None

    @property
    def is_time(self) -> bool:
        """Whether it is a time of either type."""
        return re.fullmatch(r"timestamp(\(\d\))? with(out)? time zone", self.type) is not None


@dataclass(frozen=True, slots=True)
class FoundKey:
    """
    A primary or foreign key; the names are not quoted, `quoted` is.

    `refers_to` is None for a table that this name does not lead to.
    """

    name: str
    quoted: str
    kind: str
    columns: tuple[str, ...]
    refers_to: str | None
    cascades: bool
    is_valid: bool


@dataclass(frozen=True, slots=True)
class FoundIndex:
    """An index; `name` is quoted. One that is `computed` has an expression or a predicate."""

    name: str
    columns: frozenset[str]
    definition: str
    is_unique: bool
    is_computed: bool


@dataclass(frozen=True, slots=True)
class FoundTable:
    """A table of the specification's name."""

    name: str
    kind: str
    schema: str
    current_schema: str
    role: str
    me: str
    is_mine: bool
    is_unlogged: bool
    has_children: bool
    bytes: int
    options: frozenset[str]
    columns: Mapping[str, FoundColumn]
    keys: tuple[FoundKey, ...]
    indexes: tuple[FoundIndex, ...]
    # Of each column: what depends on it so that its type cannot be changed.
    dependents: Mapping[str, tuple[str, ...]]


FIND_TABLE = """
    SELECT c.oid::bigint AS oid, c.relkind::text AS kind, quote_ident(n.nspname::text) AS schema,
           COALESCE(quote_ident(pg_catalog.current_schema()::text), '')::text AS current_schema,
           quote_ident(pg_catalog.pg_get_userbyid(c.relowner)::text) AS role,
           quote_ident(current_user::text) AS me,
           pg_catalog.pg_has_role(c.relowner, 'USAGE'::text) AS is_mine,
           c.relpersistence = 'u'::"char" AS is_unlogged,
           EXISTS (SELECT FROM pg_catalog.pg_inherits AS i
                    WHERE c.oid IN (i.inhparent, i.inhrelid)) AS has_children,
           CASE WHEN c.relkind = 'r'::"char" THEN pg_catalog.pg_table_size(c.oid) ELSE 0::bigint END
               AS bytes,
           COALESCE(c.reloptions, '{}'::text[]) AS options
      FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
     WHERE c.oid = to_regclass($1::text)::oid
"""

FIND_COLUMNS = """
    SELECT a.attname::text AS name, pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
           a.attnotnull AS not_null, pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS default,
           a.attgenerated <> ''::"char" AS is_generated
      FROM pg_catalog.pg_attribute AS a
      LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE a.attrelid = $1::bigint::oid AND a.attnum > 0 AND NOT a.attisdropped
"""

FIND_KEYS = """
    SELECT k.conname::text AS name, quote_ident(k.conname::text) AS quoted, k.contype::text AS kind,
           ARRAY(SELECT a.attname::text
                   FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS part (attnum, place)
                   JOIN pg_catalog.pg_attribute AS a
                     ON a.attrelid = k.conrelid AND a.attnum = part.attnum
                  ORDER BY part.place) AS columns,
           CASE WHEN pg_catalog.pg_table_is_visible(r.oid) THEN r.relname::text END AS refers_to,
           k.confdeltype = 'c'::"char" AS cascades,
           k.convalidated AS is_valid
      FROM pg_catalog.pg_constraint AS k
      LEFT JOIN pg_catalog.pg_class AS r ON r.oid = k.confrelid AND k.contype = 'f'::"char"
     WHERE k.conrelid = $1::bigint::oid AND k.contype IN ('p'::"char", 'f'::"char")
"""

FIND_INDEXES = """
    SELECT i.indexrelid::regclass::text AS name, i.indisunique AS is_unique,
           (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL) AS is_computed,
           pg_catalog.split_part(pg_catalog.pg_get_indexdef(i.indexrelid), ' USING btree '::text, 2)
               AS definition,
           ARRAY(SELECT a.attname::text
                   FROM pg_catalog.pg_attribute AS a
                  WHERE a.attrelid = i.indrelid
                    AND (a.attnum = ANY (i.indkey::smallint[])
                         OR EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                                     WHERE d.classid = 'pg_catalog.pg_class'::regclass::oid
                                       AND d.objid = i.indexrelid AND d.refobjid = i.indrelid
                                       AND d.refobjsubid = a.attnum))) AS columns
      FROM pg_catalog.pg_index AS i
     WHERE i.indrelid = $1::bigint::oid AND NOT i.indisprimary
"""

# PostgreSQL changes no type of a column that one of these names.
FIND_DEPENDENTS = """
    SELECT DISTINCT a.attname::text AS column,
           pg_catalog.pg_describe_object(d.classid, d.objid, d.objsubid) AS object
      FROM pg_catalog.pg_depend AS d
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
     WHERE d.refclassid = 'pg_catalog.pg_class'::regclass::oid AND d.refobjid = $1::bigint::oid
       AND d.classid = ANY ('{pg_catalog.pg_rewrite, pg_catalog.pg_proc, pg_catalog.pg_policy,
                              pg_catalog.pg_trigger, pg_catalog.pg_publication_rel}'
                            ::regclass[]::oid[])
     ORDER BY 1, 2
"""


async def find(connection: Connection, name: str) -> FoundTable | None:
    """What has this name, if anything."""
    table = await connection.fetchrow(FIND_TABLE, name)
    if table is None:
        return None
    facts = dict(table)
    oid = facts.pop("oid")
    facts["options"] = frozenset(facts["options"])
    columns = {
        row["name"]: FoundColumn(row["type"], row["not_null"], row["default"], row["is_generated"])
        for row in await connection.fetch(FIND_COLUMNS, oid)
    }
    keys = [
        FoundKey(**{**row, "columns": tuple(row["columns"])})
        for row in await connection.fetch(FIND_KEYS, oid)
    ]
    indexes = [
        FoundIndex(**{**row, "columns": frozenset(row["columns"])})
        for row in await connection.fetch(FIND_INDEXES, oid)
    ]
    dependents: dict[str, tuple[str, ...]] = {}
    for row in await connection.fetch(FIND_DEPENDENTS, oid):
        dependents[row["column"]] = (*dependents.get(row["column"], ()), row["object"])
    return FoundTable(
        name=name,
        columns=columns,
        keys=tuple(keys),
        indexes=tuple(indexes),
        dependents=dependents,
        **facts,
    )


EXISTING = """
    SELECT name FROM pg_catalog.unnest($1::text[]) AS name
     WHERE to_regclass(name) IS NOT NULL ORDER BY 1
"""


async def existing(connection: Connection, names: list[str]) -> list[str]:
    """Which of these names a table or the like has."""
    return [row["name"] for row in await connection.fetch(EXISTING, names)]
