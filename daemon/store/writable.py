"""Whether the database can be written to: a standby cannot, until it is promoted."""

from daemon.core.errors import ReadOnlyDatabaseError
from daemon.store.session import Connection

IS_STANDBY = "SELECT pg_catalog.pg_is_in_recovery()"
IS_READ_ONLY = "SELECT pg_catalog.current_setting('transaction_read_only'::text)::bool"


async def require_writable(db: Connection) -> None:
    """Raise ReadOnlyDatabaseError, which says why nothing can be stored."""
    if await db.fetchval(IS_STANDBY):
        raise ReadOnlyDatabaseError("the database is a standby, read-only until it is promoted")
    if await db.fetchval(IS_READ_ONLY):
        raise ReadOnlyDatabaseError("the database is read-only (default_transaction_read_only)")
