"""
`webhookd migrate` takes over the specification's tables that an application made, with their rows.

They become what the first migration makes, and the others follow. The rule: nothing is changed
before everything is known that could stop it; no lock is held for longer than some catalog entries
take, and nothing that was there is sent. What was interrupted goes on where it was.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import asyncpg

from daemon.core.errors import MigrationError, UsageError
from daemon.store import (
    adoption_catalog,
    adoption_counts,
    adoption_obstacles,
    adoption_report,
    adoption_rows,
    adoption_statements,
    migrations,
    prebuilt_indexes,
    schema_trust,
)
from daemon.store.adoption_plan import TablePlan
from daemon.store.adoption_report import counted, sized
from daemon.store.adoption_rows import Settled
from daemon.store.adoption_tables import (
    DELIVERIES,
    EVENTS,
    OUR_OTHER_TABLES,
    TABLES,
    TEMPORARY_INDEXES,
    TENANTS,
    foreign_key_name,
)
from daemon.store.errors import describe
from daemon.store.session import Connection

RECORDS = "webhookd_migrations"
LARGE_BYTES = 64 * 1024**2


@dataclass(frozen=True, slots=True)
class Options:
    """
    How tables are taken over.

    `time_zone` is that in which their times without zone are read; `send_pending` keeps pending
    deliveries pending; `allow_rewrite` allows a long lock on a large table. `kept_for` is how long
    the configuration keeps events and deliveries.
    """

    time_zone: str = "UTC"
    send_pending: bool = False
    allow_rewrite: bool = False
    kept_for: dict[str, timedelta] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Adoption:
    """What is to be taken over, and why it cannot be: sentences."""

    plans: tuple[TablePlan, ...] = ()
    obstacles: tuple[str, ...] = ()

    def lines(self, options: Options) -> Iterator[str]:
        """What will change, in plain words."""
        for plan in self.plans:
            yield from adoption_report.lines(plan, send_pending=options.send_pending)
        for obstacle in self.obstacles:
            yield f"cannot adopt: {obstacle}"


# Limits of the role or the database are for short statements. Building an index is none.
NO_LIMITS = "SET statement_timeout = 0; SET lock_timeout = 0"


NEEDS_SESSION = (
    "the specification's tables are taken over past the pooler only: set database.direct_url"
)


async def adopt(
    url: str,
    options: Options,
    *,
    dry_run: bool = False,
    pooled: bool = False,
    say: Callable[[str], None],
) -> Adoption | None:
    """
    Take over what there is of the specification's tables; None if there is nothing to take over.

    With `dry_run`, only return what would be done. `say` gets a line for each step. Raises
    MigrationError if a table cannot be taken over, or UsageError for an unknown time zone.
    """
    async with migrations.exclusive(url, pooled=pooled) as connection:
        found = await _found(connection)
        if not found:
            return None
        if pooled:
            raise MigrationError(NEEDS_SESSION)
        await connection.execute(NO_LIMITS)
        adoption = await _look(connection, found, options)
        if dry_run:
            return adoption
        if adoption.obstacles:
            raise MigrationError(f"nothing was changed: {'; '.join(adoption.obstacles)}")
        try:
            await _take_over(connection, adoption.plans, options, say)
        except asyncpg.PostgresError as error:
            raise MigrationError(
                f"the specification's tables: {describe(error)} (run it again: it goes on where it"
                " was)"
            ) from error
        return adoption


FIRST_IS_APPLIED = "SELECT EXISTS (SELECT FROM webhookd_migrations WHERE name = $1)"


async def _found(connection: Connection) -> list[adoption_catalog.FoundTable]:
    """The specification's tables that are there, unless the first migration is applied."""
    found = [await adoption_catalog.find(connection, name) for name in TABLES]
    if not any(found):
        return []
    records = await schema_trust.find_tables(connection, strict=True, tables=RECORDS)
    if any(each.fault for each in records):
        return []  # `migrate` says so
    if records and await connection.fetchval(FIRST_IS_APPLIED, migrations.known()[0].name):
        return []
    return [each for each in found if each is not None]


async def _look(
    connection: Connection, found: list[adoption_catalog.FoundTable], options: Options
) -> Adoption:
    zone = await _zone(connection, options.time_zone)
    if obstacles := await _obstacles(connection, found):
        return Adoption(obstacles=tuple(obstacles))
    await migrations.refuse_foreign_tables(connection)
    await migrations.refuse_overloads(connection)
    plans = []
    for table in found:
        kept_for = options.kept_for.get(table.name)
        counts = await adoption_counts.count(connection, table, kept_for=kept_for)
        plans.append(TablePlan(table, counts, zone))
        obstacles += adoption_obstacles.of_rows(table.name, counts.without, counts.orphans)
        if plans[-1].locks_for > LARGE_BYTES and not options.allow_rewrite:
            obstacles.append(_needs_consent(plans[-1]))
    return Adoption(tuple(plans), tuple(obstacles))


def _needs_consent(plan: TablePlan) -> str:
    drop = " or drop the index" if plan.rebuilt and not plan.rewrites else ""
    return (
        f"{plan.name} would be locked while {sized(plan.locks_for)} are rewritten:"
        f" choose a quiet hour and --allow-rewrite,{drop or ' or delete what is no longer needed'}"
    )


async def _obstacles(connection: Connection, found: list[adoption_catalog.FoundTable]) -> list[str]:
    faults = await schema_trust.find_tables(connection, strict=True, tables=",".join(TABLES))
    untrusted = {each.name for each in faults if each.fault == "owner"}
    sentences = [
        each for table in found for each in adoption_obstacles.of_table(table, untrusted=untrusted)
    ]
    sentences += [
        f"there is a table {name} already, which webhookd makes: rename yours"
        for name in await adoption_catalog.existing(connection, [*OUR_OTHER_TABLES])
    ]
    if not await adoption_catalog.existing(connection, [TENANTS]):
        sentences.append("there is no table tenants, to which webhooks refers: create it first")
    return sentences


ZONE = """
    SELECT name FROM pg_catalog.pg_timezone_names
     WHERE pg_catalog.lower(name) = pg_catalog.lower($1::text)
"""


async def _zone(connection: Connection, name: str) -> str:
    zone = await connection.fetchval(ZONE, name)
    if zone is None:
        raise UsageError(f"--time-zone: PostgreSQL knows no time zone {name}")
    return str(zone)


async def _take_over(
    connection: Connection,
    plans: tuple[TablePlan, ...],
    options: Options,
    say: Callable[[str], None],
) -> None:
    names = {plan.name for plan in plans}
    settled = Settled()
    for plan in plans:
        say(f"changing {plan.name}: waits for transactions that use it, and blocks no others")
        await _create_temporary_indexes(connection, plan)
        await _change(connection, plan)
    if DELIVERIES in names:
        settled += await adoption_rows.settle(connection, send_pending=options.send_pending)
    for plan in plans:
        if plan.unchecked is not None:
            say(adoption_report.unchecked(plan))
        await _validate(connection, plan)
        await _build_indexes(connection, plan.name)
        await connection.execute(f"ANALYZE {plan.name}")  # what was known of its times is gone
        say(f"adopted {plan.name}: {counted(plan.counts.rows)}")
    settled += await _apply_first(connection, names, options)
    events = sum(plan.counts.rows for plan in plans if plan.name == EVENTS)
    say(f"history, not sent: events: {events}, pending deliveries: {settled.failed}")


SET_ZONE = "SELECT pg_catalog.set_config('TimeZone'::text, $1::text, true)"


async def _change(connection: Connection, plan: TablePlan) -> None:
    statements = list(adoption_statements.statements(plan))

    async def change() -> None:
        await connection.execute(SET_ZONE, plan.time_zone)
        for statement in statements:
            await connection.execute(statement)

    if statements:
        await migrations.with_brief_locks(connection, change, name=plan.name)


async def _create_temporary_indexes(connection: Connection, plan: TablePlan) -> None:
    """Create the indexes that serve queries while the others are rebuilt."""
    for name, on in TEMPORARY_INDEXES[plan.name].items() if plan.times else ():
        await _create_index(connection, name, plan.name, on)


async def _create_index(connection: Connection, name: str, table: str, on: str) -> None:
    """Build an index beside writers; one that was left unfinished or differs is replaced."""
    await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
    await connection.execute(f"CREATE INDEX CONCURRENTLY {name} ON {table} {on}")


async def _build_indexes(connection: Connection, table: str) -> None:
    built = await prebuilt_indexes.built(connection, table)
    for index in prebuilt_indexes.INDEXES:
        if index.table == table and index.name not in built:
            await _create_index(connection, index.name, table, index.on)
    for name in TEMPORARY_INDEXES[table]:
        await connection.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")


UNFINISHED = r"""
    SELECT quote_ident(k.conname::text) AS name, k.contype::text AS kind, a.attname::text AS column
      FROM pg_catalog.pg_constraint AS k
      JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
     WHERE k.conrelid = to_regclass($1::text)::oid
       AND (k.conname::text = $2::text AND NOT k.convalidated
            OR k.contype = 'c'::"char" AND k.conname::text LIKE 'webhookd\_%\_set'::text)
"""


async def _validate(connection: Connection, plan: TablePlan) -> None:
    """
    Check the constraints that were added, without a lock that keeps anyone from writing.

    A foreign key to a table that is not trusted stays NOT VALID: its check runs what is attached to
    that table in this session, where it could take this role's rights.
    """
    table, alter = plan.name, f"ALTER TABLE {plan.name}"
    key = foreign_key_name(table) if plan.counts.distrust is None else None
    for row in await connection.fetch(UNFINISHED, table, key):
        await connection.execute(f"{alter} VALIDATE CONSTRAINT {row['name']}")
        if row["kind"] == "c":
            finish = (
                f"{alter} ALTER COLUMN {row['column']} SET NOT NULL;"  # the constraint proves it
                f"{alter} DROP CONSTRAINT {row['name']}"
            )
            await _briefly(connection, finish, name=table)


async def _briefly(connection: Connection, sql: str, *, name: str) -> None:
    async def execute() -> None:
        await connection.execute(sql)

    await migrations.with_brief_locks(connection, execute, name=name)


async def _apply_first(connection: Connection, names: set[str], options: Options) -> Settled:
    """
    Apply the first migration to the tables that are there.

    From its commit on, what the application inserts is sent; what it inserted before is history.
    """
    settled = Settled()

    async def settle_rest() -> None:
        nonlocal settled
        if DELIVERIES in names:
            settled = await adoption_rows.settle_rest(connection, send_pending=options.send_pending)

    if not await adoption_catalog.existing(connection, [RECORDS]):
        await migrations.create_records(connection)
    await migrations.apply(connection, migrations.known()[0], there=names, before=settle_rest)
    return settled
