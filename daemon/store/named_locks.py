"""
Locks by name: taken until the transaction ends, waited for a bounded time, and watched.

A name stands for a row of `webhook_locks`, which only daemons' roles may lock; every role of the
database could take an advisory lock, and keep it. A daemon may hang, so no wait is endless, and the
holder is named.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from time import monotonic

import asyncpg
import structlog

from daemon.core.errors import LockHeldError
from daemon.store.advisory_locks import session_sentence
from daemon.store.session import Connection

log = structlog.get_logger()

# Less than a query may take, so that the wait ends with the holder's name.
WAIT_SECONDS = 5.0

# Two names may share a row: then one waits for the other, for some milliseconds.
ROW = """
      FROM webhook_locks AS lock
     WHERE lock.slot = pg_catalog.hashtextextended({name}, 0) & 4095::bigint"""
OF_PARAMETER = ROW.format(name="$1::text")
TRY_LOCK = f"SELECT true {OF_PARAMETER} FOR UPDATE SKIP LOCKED"
LOCK = f"SELECT true {OF_PARAMETER} FOR UPDATE"
PRESENT_LIMIT = "SELECT pg_catalog.current_setting('lock_timeout')"
LIMIT_WAIT = "SAVEPOINT lock_wait; SET LOCAL lock_timeout = {:.0f}"
END_WAIT = "SET LOCAL lock_timeout = '{}'; RELEASE SAVEPOINT lock_wait"
GIVE_UP = "ROLLBACK TO SAVEPOINT lock_wait; RELEASE SAVEPOINT lock_wait"


async def try_take(db: Connection, name: str) -> bool:
    """Take the lock of this name until the transaction ends; return False if another holds it."""
    return bool(await db.fetchval(TRY_LOCK, name))


async def try_take_all(db: Connection, names: Iterable[str]) -> str | None:
    """Take locks until the transaction ends; returns the name of the first that another holds."""
    for name in names:
        if not await try_take(db, name):
            return name
    return None


FIND_FREE = f"""
    -- Outside of a transaction: each lock that is free is taken, and given back at the end.
    SELECT name
      FROM pg_catalog.unnest($1::text[]) AS name
     CROSS JOIN LATERAL (SELECT true {ROW.format(name="name")} FOR UPDATE SKIP LOCKED) AS free
"""  # noqa: S608  made of constants only


async def find_free(db: Connection, names: Sequence[str]) -> list[str]:
    """Return the names of those locks that no session holds; call outside a transaction."""
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
    holder = await holder_of(db, name)
    return LockHeldError(f"{holder} has held the lock '{name}' for {WAIT_SECONDS:g} s")


# A transaction that locks a row is noted in it, and holds the lock of its own number.
FIND_HOLDER = f"""
    SELECT l.pid, a.usename, a.application_name
      FROM (SELECT lock.xmax AS holder {OF_PARAMETER}) AS held
      JOIN pg_catalog.pg_locks AS l ON l.transactionid = held.holder AND l.granted
      LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
     LIMIT 1
"""  # noqa: S608  made of constants only


async def holder_of(db: Connection, name: str) -> str:
    """The holder of a named lock, for the operator: the session's pid, user and application."""
    return session_sentence(await db.fetchrow(FIND_HOLDER, name))


class LockWatch:
    """
    Warns when a lock that is only tried was not to be had for `patience`.

    One daemon at a time does the `work`; the others leave it to that one, and to one that hangs.
    """

    def __init__(self, name: str, *, work: str, patience: timedelta) -> None:
        self._name = name
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
                held_by=await holder_of(db, self._name),
                seconds=self._patience_seconds,
            )
