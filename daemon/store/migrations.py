"""
Migrations: numbered plain SQL files, each applied once, in order, in its own transaction.

The files can also be run by hand with `psql -f`: each ends by recording its own name. The runner
adds a checksum, so that a later edit of an applied file is detected.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import asyncpg

from daemon.core.errors import MigrationError, SchemaError
from daemon.runtime.package_data import package_file
from daemon.store import advisory_locks, prebuilt_indexes, schema_access, schema_trust, tenants
from daemon.store.connection import connected
from daemon.store.encoding import require_utf8
from daemon.store.errors import describe
from daemon.store.lock_blockers import Blockers
from daemon.store.schema_trust import FoundTable
from daemon.store.session import Connection

LOCK = 0x7765_6268_6F6F_6B64  # "webhookd"
LOCK_POLL_SECONDS = 0.1
LIMIT_LOCKS = "SET LOCAL lock_timeout = '200ms'"
LOCK_TRIES = 180  # of 0.2 s at most, and a pause: two minutes
LOCK_PAUSE_SECONDS = 0.5
LOCK_TIMEOUT_SECONDS = 60
MOST_NAMED = 3
# 0010 cannot run where the application wrote headers that nest too deep, before this corrects it.
APPLIED_AFTER = {"0013_payload_nesting": "0009_audit"}

NEWER = "the database's schema is newer than this program ({}): upgrade webhookd"
NOT_GRANTED = "this role may not read {table}: run sql/roles.sql again, as after each migration"
OWNER_HINT = ": migrate as the owner of the tables, who may create some in this schema"


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: `name` is its stem, `0001_webhooks`."""

    name: str
    path: Path
    sql: str

    @property
    def sha256(self) -> str:
        """The checksum of the file's text, in hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def known(folder: Path | None = None) -> list[Migration]:
    """Return the migrations that this version of the program expects, in the order to apply."""
    files = (folder or package_file("migrations")).glob("[0-9]*_*.sql")
    found = [Migration(file.stem, file, file.read_text("utf-8")) for file in files]
    return sorted(found, key=lambda m: (APPLIED_AFTER.get(m.name, m.name), m.name))


async def migrate(
    url: str, *, dry_run: bool = False, folder: Path | None = None, pooled: bool = False
) -> list[Migration]:
    """
    Apply the missing migrations and return them; with `dry_run`, only return them.

    Several may run at once: one applies, the others wait and find nothing to do. Raises
    MigrationError for a migration that fails or was edited, or when it could run functions of other
    roles; SchemaError for a schema newer than this program, ConfigError for a database that is not
    in UTF-8, DatabaseUnavailableError if there is no connection.
    """
    async with exclusive(url, pooled=pooled) as connection:
        records = await refuse_foreign_tables(connection)
        missing = await _missing(connection, known(folder), records)
        if missing and not dry_run:
            await refuse_overloads(connection)
            if records is None:
                await create_records(connection)
            for migration in missing:
                await apply(connection, migration)
        return missing


async def verify(connection: Connection, migrations: Iterable[Migration] | None = None) -> None:
    """
    Raise SchemaError unless exactly the known migrations are applied (default: `known()`).

    Also when a table is not what this role may use: see `schema_trust`.
    """
    found = await schema_trust.find_tables(connection, strict=False)
    for table in found:
        if table.fault:
            raise SchemaError(str(table))
    applied = {row["name"] for row in await _applied(connection, _records(found))}
    names = {m.name for m in (known() if migrations is None else migrations)}
    if behind := sorted(names - applied):
        named = ", ".join(behind[:MOST_NAMED])
        more = f" and {len(behind) - MOST_NAMED} more" if len(behind) > MOST_NAMED else ""
        raise SchemaError(f"the database's schema lacks {named}{more}: run `webhookd migrate`")
    if ahead := sorted(applied - names):
        raise SchemaError(NEWER.format(", ".join(ahead)))


TRY_LOCK = "SELECT pg_catalog.pg_try_advisory_lock($1)"
TRY_LOCK_OF_TRANSACTION = "SELECT pg_catalog.pg_try_advisory_xact_lock($1)"
STAY_OPEN = "SET LOCAL idle_in_transaction_session_timeout = 0"


@asynccontextmanager
async def exclusive(url: str, *, pooled: bool = False) -> AsyncIterator[Connection]:
    """
    A connection for the length of the block, during which no other migration is under way.

    Behind a transaction pooler, an open transaction beside it holds the lock. Raises MigrationError
    when another holds it for long, DatabaseUnavailableError, or ConfigError for a database that is
    not in UTF-8.
    """
    async with connected(url, plain=True, pooled=pooled) as connection:  # its end releases the lock
        await require_utf8(connection)
        if not pooled:
            await _take_lock(connection, TRY_LOCK)
            yield connection
            return
        async with connected(url, plain=True, pooled=True) as holder, holder.transaction():
            await holder.execute(STAY_OPEN)
            await _take_lock(holder, TRY_LOCK_OF_TRANSACTION)
            yield connection


async def _take_lock(connection: Connection, try_lock: str) -> None:
    # Polled: a waiting lock would deadlock with CREATE INDEX CONCURRENTLY in the other migration.
    try:
        async with asyncio.timeout(LOCK_TIMEOUT_SECONDS):
            while not await connection.fetchval(try_lock, LOCK):  # noqa: ASYNC110  only the database knows when it is free
                await asyncio.sleep(LOCK_POLL_SECONDS)
    except TimeoutError:
        holder = await advisory_locks.holder_of(connection, LOCK)
        raise MigrationError(
            f"{holder} has held the lock of `webhookd migrate` for {LOCK_TIMEOUT_SECONDS} s"
        ) from None


async def _applied(connection: Connection, records: str | None) -> list[asyncpg.Record]:
    if records is None:
        return []
    try:
        rows: list[asyncpg.Record] = await connection.fetch(
            f"SELECT name, sha256 FROM {records}"  # noqa: S608  quoted by PostgreSQL
        )
    except asyncpg.InsufficientPrivilegeError:
        raise SchemaError(NOT_GRANTED.format(table=records)) from None
    return rows


async def refuse_foreign_tables(connection: Connection) -> str | None:
    """
    Refuse what would be read or written with the rights of this role; as `_records` otherwise.
    """
    found = await schema_trust.find_tables(connection, strict=True)
    # The table of the application is only referred to, and may belong to any role.
    of_application = await schema_trust.find_tables(connection, strict=True, tables=tenants.TABLE)
    for table in (*found, *(each for each in of_application if each.fault == "kind")):
        if table.fault:
            raise MigrationError(str(table))
    for code in await schema_trust.foreign_code(connection):
        raise MigrationError(
            f"{code.sentence}, which would have this role's rights: drop it, or change its owner"
        )
    return _records(found)


def _records(found: Iterable[FoundTable]) -> str | None:
    """
    The qualified name of the table that lists the applied migrations; None if there was none.

    What has that name only later, another role may have created.
    """
    return next((each.qualified for each in found if each.name == "webhookd_migrations"), None)


async def refuse_overloads(connection: Connection) -> None:
    """
    Raise MigrationError where functions of other roles could be called in place of PostgreSQL's.

    Migrations that are not exactly typed would keep what another role created for ever.
    """
    if overloads := await schema_access.foreign_overloads(connection):
        named = ", ".join(str(each) for each in overloads[:MOST_NAMED])
        raise MigrationError(
            f"{len(overloads)} functions or operators of other roles may be called in place of"
            f" PostgreSQL's: drop them ({named}), and REVOKE CREATE ON SCHEMA … from their roles"
        )


# The first migration would use a table that another role has created meanwhile.
CREATE_RECORDS = """
    CREATE TABLE webhookd_migrations (
        name       TEXT PRIMARY KEY,
        sha256     TEXT,
        applied_at TIMESTAMPTZ NOT NULL DEFAULT now()
    )
"""


async def create_records(connection: Connection) -> None:
    """Create the table that lists the applied migrations. Raises MigrationError."""
    try:
        await connection.execute(CREATE_RECORDS)
    except asyncpg.PostgresError as error:
        hint = OWNER_HINT if isinstance(error, asyncpg.InsufficientPrivilegeError) else ""
        raise MigrationError(f"no migration can be applied: {describe(error)}{hint}") from error


async def _missing(
    connection: Connection, migrations: list[Migration], records: str | None
) -> list[Migration]:
    applied = {row["name"]: row["sha256"] for row in await _applied(connection, records)}
    for migration in migrations:
        if applied.get(migration.name) not in (None, migration.sha256):
            raise MigrationError(f"{migration.path.name} was edited after it was applied")
    if ahead := sorted(applied.keys() - {m.name for m in migrations}):
        raise SchemaError(NEWER.format(", ".join(ahead)))
    by_hand = [m for m in migrations if m.name in applied and applied[m.name] is None]
    for migration in by_hand:
        await _record(connection, migration)
    return [m for m in migrations if m.name not in applied]


async def _nothing() -> None:
    pass


async def apply(
    connection: Connection,
    migration: Migration,
    *,
    there: Iterable[str] = (),
    before: Callable[[], Awaitable[None]] = _nothing,
) -> None:
    """
    Apply one migration, with what is to be done `before` it in the same transaction.

    Tables that are `there` already, and indexes that were built beforehand, are kept. Raises
    MigrationError.
    """

    async def work() -> None:
        await before()
        sql = await prebuilt_indexes.kept(connection, migration.sql)
        for table in there:
            sql = sql.replace(f"CREATE TABLE {table} (", f"CREATE TABLE IF NOT EXISTS {table} (")
        await connection.execute(sql)
        await _record(connection, migration)

    try:
        await with_brief_locks(connection, work, name=migration.path.name)
    except asyncpg.PostgresError as error:
        raise MigrationError(f"{_place(migration, error)}: {describe(error)}") from error


async def with_brief_locks(
    connection: Connection, work: Callable[[], Awaitable[None]], *, name: str
) -> None:
    """
    Do `work` in a transaction; where a lock is not to be had at once, give way and try again.

    Work that waited for one would hold up every writer that comes after it. From the second try on
    it logs what it waits for. Raises MigrationError with its `name` and the sessions in its way
    when a lock is not to be had in LOCK_TRIES, which take about two minutes.
    """
    began, began_waiting = monotonic(), False
    blockers = Blockers(connection, name=name)
    for _ in range(LOCK_TRIES):
        try:
            async with blockers.watched() if began_waiting else nullcontext():
                await _in_transaction(connection, work)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            began_waiting = True
            await asyncio.sleep(LOCK_PAUSE_SECONDS)
        else:
            return
    raise MigrationError(
        f"{name}: other transactions have held the locks that it needs for"
        f" {monotonic() - began:.0f} s, the last ones of {blockers.last or 'sessions unknown'}:"
        " end them (see pg_stat_activity), and try again"
    )


async def _in_transaction(connection: Connection, work: Callable[[], Awaitable[None]]) -> None:
    async with connection.transaction():
        await connection.execute(LIMIT_LOCKS)
        await work()


async def _record(connection: Connection, migration: Migration) -> None:
    await connection.execute(
        "UPDATE webhookd_migrations SET sha256 = $2 WHERE name = $1",
        migration.name,
        migration.sha256,
    )


def _place(migration: Migration, error: asyncpg.PostgresError) -> str:
    """The file and line of an error, `0002_x.sql:17`; PostgreSQL counts characters, from 1."""
    position = getattr(error, "position", None)
    if position is None:
        return migration.path.name
    line = migration.sql.count("\n", 0, int(position) - 1) + 1
    return f"{migration.path.name}:{line}"
