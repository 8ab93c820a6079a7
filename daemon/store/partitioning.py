"""
Conversion of `webhook_deliveries` into partitions, while it is in use.

The rule: nothing is copied, and no session waits longer than writing a few catalog entries takes.
The table becomes a partition of its own, beside those that take all new rows; see
`migrations/0015_partitions.sql`, which replaces a table without rows.
"""

from dataclasses import dataclass
from enum import Enum

import asyncpg

from daemon.core.errors import MigrationError
from daemon.store import migrations
from daemon.store.errors import describe
from daemon.store.session import Connection

TABLE = "webhook_deliveries"
LEGACY = "webhook_deliveries_legacy"


class Layout(Enum):
    """
    How `webhook_deliveries` is stored.

    `PLAIN` is one table. In `CONVERTED`, the former table is one of the partitions.
    """

    PLAIN = "plain"
    CONVERTED = "converted"
    PARTITIONED = "partitioned"


GET_LAYOUT = """
    SELECT CASE WHEN to_regclass('webhook_deliveries_history'::text) IS NULL THEN 'plain'
                WHEN to_regclass('webhook_deliveries_legacy'::text) IS NULL THEN 'partitioned'
                ELSE 'converted' END
"""


async def layout(db: Connection) -> Layout:
    """Return how `webhook_deliveries` is stored."""
    return Layout(await db.fetchval(GET_LAYOUT))


OBSTACLES = "SELECT sentence FROM webhook_partition_obstacles() AS sentence ORDER BY sentence"
IS_EMPTY = "SELECT NOT EXISTS (SELECT FROM webhook_deliveries)"


async def obstacles(db: Connection) -> list[str]:
    """Why the table cannot be partitioned, a clause about "it" each; empty if it can be."""
    found = [row["sentence"] for row in await db.fetch(OBSTACLES)]
    if not found and await db.fetchval(IS_EMPTY):  # it would be dropped
        return await _dependents(db, TABLE)
    return found


# A daemon's role has rights on the whole table only.
LEGACY_IS_EMPTY = "SELECT NOT EXISTS (SELECT FROM webhook_deliveries WHERE legacy)"


async def legacy_obstacles(db: Connection) -> list[str]:
    """Why the former table cannot be dropped, once it has no rows any more; as `obstacles`."""
    return await _dependents(db, LEGACY) if await db.fetchval(LEGACY_IS_EMPTY) else []


DEPENDENTS = """
    SELECT pg_catalog.format('%s of role %I depends on it', d.object, d.role) AS sentence
      FROM webhook_dependents(to_regclass($1::text)::oid) AS d
     ORDER BY sentence
"""


async def _dependents(db: Connection, table: str) -> list[str]:
    return [row["sentence"] for row in await db.fetch(DEPENDENTS, table)]


MARK_ROWS = """
    -- No row is written: a constant default is kept in the catalog. No insert names the column, so
    -- none fails while the constraint is being validated.
    ALTER TABLE webhook_deliveries ADD COLUMN IF NOT EXISTS legacy BOOLEAN DEFAULT true;
    ALTER TABLE webhook_deliveries DROP CONSTRAINT IF EXISTS webhook_deliveries_are_legacy;
    ALTER TABLE webhook_deliveries ADD CONSTRAINT webhook_deliveries_are_legacy
        CHECK (legacy IS NOT NULL AND legacy) NOT VALID
"""
# Reads the whole table, and holds up no reader or writer.
VALIDATE = "ALTER TABLE webhook_deliveries VALIDATE CONSTRAINT webhook_deliveries_are_legacy"
CONVERT = "SELECT webhook_partition_deliveries()"
FIRST_DAYS = 3  # the daemons make those that follow
ADD_PARTITION = "SELECT webhook_add_history_partition(1)"


@dataclass(frozen=True, slots=True)
class Conversion:
    """
    The changes that were made, or are to be made.

    With `obstacles`, clauses about the table `stays`, that one stays as it is.
    """

    is_due: bool
    obstacles: tuple[str, ...] = ()
    stays: str = TABLE


async def convert(url: str, *, dry_run: bool = False, pooled: bool = False) -> Conversion:
    """
    Partition the table, unless it is; with `dry_run`, only say whether that is to be done.

    A former table that has become empty is dropped. What was interrupted is done again. Raises
    MigrationError when its locks are never to be had or PostgreSQL refuses a step; then the table
    works as it did.
    """
    async with migrations.exclusive(url, pooled=pooled) as connection:
        await migrations.refuse_foreign_tables(connection)
        conversion = await _due(connection)
        if conversion.is_due and not dry_run:
            try:
                await _convert(connection)
            except asyncpg.PostgresError as error:
                raise MigrationError(f"{TABLE}: {describe(error)}") from error
        return conversion


async def _due(connection: Connection) -> Conversion:
    match await layout(connection):
        case Layout.PLAIN:
            found = await obstacles(connection)
            return Conversion(is_due=not found, obstacles=tuple(found))
        case Layout.CONVERTED:
            found = await legacy_obstacles(connection)
            is_due = not found and await connection.fetchval(LEGACY_IS_EMPTY)
            stays = LEGACY if found else TABLE
            return Conversion(is_due=is_due, obstacles=tuple(found), stays=stays)
        case Layout.PARTITIONED:
            return Conversion(is_due=False)


async def _convert(connection: Connection) -> None:
    if await layout(connection) is Layout.PLAIN:
        await _run(connection, MARK_ROWS)
        await _run(connection, VALIDATE)
    # Today has a partition before a row can come that belongs to it.
    await _run(connection, f"{CONVERT}; {ADD_PARTITION}")
    for _ in range(FIRST_DAYS - 1):
        await _run(connection, ADD_PARTITION)


async def _run(connection: Connection, sql: str) -> None:
    async def execute() -> None:
        await connection.execute(sql)

    await migrations.with_brief_locks(connection, execute, name=TABLE)
