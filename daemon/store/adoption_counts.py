"""The rows of the specification's tables, counted before and while they are taken over."""

from datetime import timedelta

from daemon.store import schema_trust, tenants
from daemon.store.adoption_catalog import FoundTable
from daemon.store.adoption_plan import Counts
from daemon.store.adoption_tables import (
    COLUMNS,
    DELIVERIES,
    EVENTS,
    FOREIGN_KEYS,
    TENANTS,
    WEBHOOKS,
)
from daemon.store.session import Connection

TIMES = {EVENTS: "created_at", DELIVERIES: "attempted_at"}


async def count(connection: Connection, table: FoundTable, *, kept_for: timedelta | None) -> Counts:
    """Read the table once; `kept_for` is how long its rows are kept by the configuration."""
    nullable = [
        name
        for name, wanted in COLUMNS[table.name].items()
        if wanted.not_null and not table.columns[name].not_null
    ]
    counted = ["count(*)", *(f"count(*) FILTER (WHERE {name} IS NULL)" for name in nullable)]
    pending = "status::text = 'pending_retry'" if table.name == DELIVERIES else "false"
    expired = f"{TIMES[table.name]} < now() - $1::interval" if table.name in TIMES else "false"
    counted += [f"count(*) FILTER (WHERE {pending})"]
    counted += [f"count(*) FILTER (WHERE {expired} AND $1::interval IS NOT NULL)"]
    row = await connection.fetchrow(
        f"SELECT {', '.join(counted)} FROM {table.name}",  # noqa: S608  names are constants
        kept_for,
    )
    return Counts(
        rows=row[0],
        without=dict(zip(nullable, row[1:-2], strict=True)),
        pending=row[-2],
        orphans=await _orphans(connection, table),
        distrust=await _distrust_of_tenants(connection) if table.name == WEBHOOKS else None,
        expired=row[-1],
    )


async def _orphans(connection: Connection, table: FoundTable) -> int:
    """Rows that refer to nothing, where no foreign key says that there are none."""
    if table.name not in FOREIGN_KEYS:
        return 0
    column, other, _ = FOREIGN_KEYS[table.name]
    for key in table.keys:
        if key.kind == "f" and key.columns == (column,) and key.refers_to == other and key.is_valid:
            return 0
    if other == TENANTS and not await _may_read_tenants(connection):
        return 0  # where it may be validated, its check finds them
    return int(
        await connection.fetchval(
            f"SELECT count(*) FROM {table.name} AS t"  # noqa: S608  names are constants
            f" WHERE NOT EXISTS (SELECT FROM {other} AS o WHERE o.id = t.{column})"
        )
    )


async def _may_read_tenants(connection: Connection) -> bool:
    found = await schema_trust.find_tables(connection, strict=True, tables=TENANTS)
    return (
        all(each.fault is None for each in found) and await _distrust_of_tenants(connection) is None
    )


async def _distrust_of_tenants(connection: Connection) -> str | None:
    """
    Why no foreign key to `tenants` may be validated.

    PostgreSQL would plan a query of it in this session, often with this role's rights, and so call
    functions that are attached to it.
    """
    for each in await schema_trust.find_tables(connection, strict=True, tables=TENANTS):
        if each.fault == "owner":
            return f"{each.name} belongs to the role {each.role}, which is not trusted"
    for code in await tenants.code_in_reads(connection):
        return code.sentence
    return None
