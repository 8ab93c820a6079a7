"""Waits for locks in the tests' PostgreSQL."""

from tests.support.application import Application


async def waits_for_lock(app: Application) -> bool:
    """Whether some session waits for a lock that another one holds."""
    return bool(await app.db.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"))
