"""
Why tables of an application cannot be taken over: one sentence each, with a remedy.

The rule: this is known before anything is changed.
"""

from collections.abc import Collection, Iterator, Mapping

from daemon.store.adoption_catalog import FoundTable
from daemon.store.adoption_tables import (
    ADDED_BEFOREHAND,
    COLUMNS,
    DELIVERIES,
    FIRST_ADDED,
    FOREIGN_KEYS,
    LATER_ADDED,
    REPLACED_INDEXES,
    TIME,
    WEBHOOKS,
    foreign_key_name,
)

KINDS = {
    "v": "a view",
    "m": "a materialized view",
    "f": "a foreign table",
    "p": "a partitioned table",
    "S": "a sequence",
}
TYPES = {"VARCHAR(255)": "character varying(255)", "TIMESTAMPTZ": TIME, "TEXT": "text"}


def of_table(table: FoundTable, *, untrusted: Collection[str]) -> Iterator[str]:
    """Why this table cannot be taken over; `untrusted` are tables of roles that are not trusted."""
    if table.kind != "r":
        what = KINDS.get(table.kind, "no table")
        yield (
            f"{table.name} is {what}: rename it, and put its rows into an ordinary table of that"
            " name"
        )
        return
    if table.schema != table.current_schema:
        yield (
            f"{table.name} is in the schema {table.schema}, and webhookd would create its tables"
            f" in {table.current_schema or 'none'}: let the search_path of database.url begin with"
            f" {table.schema}"
        )
    if not table.is_mine or table.name in untrusted:
        yield (
            f"{table.name} belongs to the role {table.role}: migrate as {table.role}, or hand it"
            f" over (ALTER TABLE {table.name} OWNER TO {table.me})"
        )
    if table.has_children:
        yield f"{table.name} inherits, or another table inherits from it: ALTER TABLE … NO INHERIT"
    if table.is_unlogged:
        yield f"{table.name} is unlogged: ALTER TABLE {table.name} SET LOGGED"
    yield from _of_columns(table)
    yield from _of_keys(table)
    yield from _of_dependents(table)


def _of_columns(table: FoundTable) -> Iterator[str]:
    for name, wanted in COLUMNS[table.name].items():
        found = table.columns.get(name)
        if found is None:
            yield (
                f"{table.name} has no column {name}:"
                f" ALTER TABLE {table.name} ADD COLUMN {name} {wanted.type}"
            )
        elif found.is_generated:
            yield f"{table.name}.{name} is generated: make it an ordinary column"
        elif found.type != wanted.type and not (wanted.type == TIME and found.is_time):
            yield (
                f"{table.name}.{name} is of the type {found.type}, not {wanted.type}:"
                f" ALTER TABLE {table.name} ALTER COLUMN {name} TYPE {wanted.type}"
            )
    beforehand = ADDED_BEFOREHAND.get(table.name, {})
    added = FIRST_ADDED[table.name] | beforehand
    for name, found in table.columns.items():
        if name in LATER_ADDED[table.name] - beforehand.keys() or (
            name in added and TYPES.get(added[name], added[name].lower()) != found.type
        ):
            yield (
                f"{table.name} has a column {name}, which webhookd adds itself:"
                f" ALTER TABLE {table.name} RENAME COLUMN {name} TO …"
            )


def _of_keys(table: FoundTable) -> Iterator[str]:
    primary = [key for key in table.keys if key.kind == "p"]
    if not primary:
        yield f"{table.name} has no primary key: ALTER TABLE {table.name} ADD PRIMARY KEY (id)"
    elif primary[0].columns != ("id",):
        columns = ", ".join(primary[0].columns)
        yield f"the primary key of {table.name} is ({columns}): make it (id)"
    for key in table.keys:
        if key.kind == "f" and key.name == foreign_key_name(table.name):
            _, other, _ = FOREIGN_KEYS[table.name]
            if key.refers_to != other:
                yield (
                    f"the foreign key {key.quoted} of {table.name} refers to another table than"
                    f" {other}: ALTER TABLE {table.name} DROP CONSTRAINT {key.quoted}"
                )
    if table.name == DELIVERIES:
        for index in table.indexes:
            if index.is_unique:
                yield (
                    f"the unique index {index.name} allows one row of {table.name} where each"
                    " attempt is one: drop it, or its constraint"
                )


def _of_dependents(table: FoundTable) -> Iterator[str]:
    changed = changed_columns(table)
    depending = [(each, name) for name in changed for each in table.dependents.get(name, ())]
    # PostgreSQL makes these again, and checks them with the rights of this role.
    depending += [
        (f"foreign key {key.quoted}", name)
        for key in table.keys
        if key.kind == "f"
        for name in changed
        if name in key.columns
    ]
    # An expression may have no constant result any more once its column has a time zone.
    depending += [
        (f"index {index.name}", name)
        for index in table.indexes
        if index.is_computed and index.name not in REPLACED_INDEXES
        for name in changed
        if name in index.columns
    ]
    for each, name in depending:
        yield (
            f"{each} depends on {table.name}.{name}, whose type changes:"
            " drop it, migrate, and create it again"
        )


def changed_columns(table: FoundTable) -> list[str]:
    """The columns whose type this or a later migration changes."""
    times = [name for name in COLUMNS[table.name] if is_changed_time(table, name)]
    return [*times, "secret_key"] if table.name == WEBHOOKS else times


def is_changed_time(table: FoundTable, name: str) -> bool:
    """Whether the column is of a type of time that becomes another one."""
    found = table.columns.get(name)
    return (
        COLUMNS[table.name][name].type == TIME
        and found is not None
        and found.is_time
        and found.type != TIME
    )


def of_rows(table: str, without: Mapping[str, int], orphans: int) -> Iterator[str]:
    """Why the rows of this table cannot be taken over: `without` a value, or what they refer to."""
    for name, rows in without.items():
        if rows and COLUMNS[table][name].fill is None:
            yield f"{rows} rows of {table} have no {name}: give them one, or delete them"
    if orphans:
        column, other = ("tenant_id", "tenants") if table == WEBHOOKS else ("webhook_id", WEBHOOKS)
        yield (
            f"{orphans} rows of {table} have a {column} that is not in {other}:"
            " correct them, or delete them"
        )
