"""Locks of the daemon that another daemon's session keeps, without end."""

import asyncpg

HOLD = """
    SELECT FROM webhook_locks
     WHERE slot IN (SELECT hashtextextended(name, 0) & 4095 FROM unnest($1::text[]) AS name)
       FOR UPDATE
"""
IS_HELD = """
    SELECT NOT EXISTS (SELECT FROM webhook_locks WHERE slot = hashtextextended($1::text, 0) & 4095
                          FOR UPDATE SKIP LOCKED)
"""


async def hold(holder: asyncpg.Connection, *names: str) -> None:
    """Take the locks of these names, in a transaction that stays open."""
    if not holder.is_in_transaction():
        await holder.execute("BEGIN")
    await holder.execute(HOLD, names)


async def release(holder: asyncpg.Connection) -> None:
    """End the transaction that has taken locks."""
    await holder.execute("ROLLBACK")


async def is_held(db: asyncpg.Connection, name: str) -> bool:
    """Whether another session holds the lock of this name."""
    return bool(await db.fetchval(IS_HELD, name))
