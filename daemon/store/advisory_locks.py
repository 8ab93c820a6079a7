"""
Advisory locks: taken until the transaction ends, waited for a bounded time, and watched.

Any role of the database may take any advisory lock and keep it, whether it has rights on our tables
or not. So no wait is endless, and the holder is named.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from time import monotonic

import asyncpg
import structlog

from daemon.core.errors import LockHeldError
from daemon.store.session import Connection

log = structlog.get_logger()

# Less than a query may take, so that the wait ends with the holder's name.
WAIT_SECONDS = 5.0

TRY_LOCK = """
    SELECT pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended($1::text, 0))
"""
LOCK = "SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1::text, 0))"
PRESENT_LIMIT = "SELECT pg_catalog.current_setting('lock_timeout')"
LIMIT_WAIT = "SAVEPOINT lock_wait; SET LOCAL lock_timeout = {:.0f}"
END_WAIT = "SET LOCAL lock_timeout = '{}'; RELEASE SAVEPOINT lock_wait"
GIVE_UP = "ROLLBACK TO SAVEPOINT lock_wait; RELEASE SAVEPOINT lock_wait"
KEY_OF = "SELECT pg_catalog.hashtextextended($1::text, 0)"


async def try_take(db: Connection, name: str) -> bool:
    """Take the lock of this name until the transaction ends; return False if another holds it."""
    return bool(await db.fetchval(TRY_LOCK, name))


async def try_take_all(db: Connection, names: Iterable[str]) -> str | None:
    """Take locks until the transaction ends; returns the name of the first that another holds."""
    for name in names:
        if not await try_take(db, name):
            return name
    return None


FIND_FREE = """
    -- Outside of a transaction: each lock that is free is taken, and given back at the end.
    SELECT name
      FROM pg_catalog.unnest($1::text[]) AS name
     WHERE pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended(name, 0))
"""


async def find_free(db: Connection, names: Sequence[str]) -> list[str]:
    """Return the names of those locks that nobody holds; call outside a transaction."""
    return [row["name"] for row in await db.fetch(FIND_FREE, names)]


async def take(db: Connection, name: str) -> None:
    """
    Take the lock of this name until the transaction ends; wait for another holder.

    The wait keeps the connection: where others need it too, begin with `Database.locked`, after
    which this takes what is held already.
    Raises LockHeldError, which names the holder, after WAIT_SECONDS; the transaction can go on.
    """
    if await try_take(db, name):
        return
    limit = await db.fetchval(PRESENT_LIMIT)
    await db.execute(LIMIT_WAIT.format(WAIT_SECONDS * 1000))
    try:
        await db.fetchval(LOCK, name)
    except asyncpg.LockNotAvailableError:
        await db.execute(GIVE_UP)
        raise await held_error(db, name) from None
    await db.execute(END_WAIT.format(limit))


async def held_error(db: Connection, name: str) -> LockHeldError:
    """The error for a lock that was waited for in vain; names its holder."""
    holder = await holder_of(db, await db.fetchval(KEY_OF, name))
    return LockHeldError(f"{holder} has held the lock '{name}' for {WAIT_SECONDS:g} s")


FIND_HOLDER = """
    SELECT l.pid, a.usename, a.application_name
      FROM pg_catalog.pg_locks AS l
      LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
     WHERE l.locktype = 'advisory' AND l.granted
       -- 1: the two halves of a key of 64 bits, not two keys of 32.
       AND l.objsubid = 1
       AND (l.classid::bigint << 32 | l.objid::bigint) = $1::bigint
       AND l.database = (SELECT oid FROM pg_catalog.pg_database
                          WHERE datname = current_database())
     LIMIT 1
"""


async def holder_of(db: Connection, key: int) -> str:
    """Who holds the lock of a key, for the operator: the session's pid, user and application."""
    row = await db.fetchrow(FIND_HOLDER, key)
    if row is None:
        return "a session that has ended"
    user, application = row["usename"] or "unknown", row["application_name"] or "unnamed"
    return f"a session (pid {row['pid']}, user {user}, application {application})"


class LockWatch:
    """
    Warns when a lock that is only tried was not to be had for `patience`.

    One daemon at a time does the `work`; the others leave it to that one, and to one that hangs.
    """

    def __init__(self, key: int, *, work: str, patience: timedelta) -> None:
        self._key = key
        self._work = work
        self._patience_seconds = patience.total_seconds()
        self._missed_since: float | None = None

    def taken(self) -> None:
        """Note that the lock was taken."""
        self._missed_since = None

    async def missed(self, db: Connection) -> None:
        """Note that another session holds the lock; warn at times if that goes on."""
        now = monotonic()
        if self._missed_since is None:
            self._missed_since = now
        if now - self._missed_since >= self._patience_seconds:
            self._missed_since = now
            log.warning(
                "lock.held_for_long",
                work=self._work,
                held_by=await holder_of(db, self._key),
                seconds=self._patience_seconds,
            )
