"""
Operators who are signed in to the console: a session is valid while its row exists.

Daemons look the row up with every request, so that signing out ends it at all of them.
"""

from datetime import datetime, timedelta

from daemon.core.model.ids import TokenId
from daemon.store.expired_rows import delete_rows
from daemon.store.session import Connection

INSERT_SESSION = """
    INSERT INTO webhook_operator_sessions (id, operator, expires_at) VALUES ($1, $2, $3)
"""


async def insert(
    db: Connection, session_id: TokenId, *, operator: str, expires_at: datetime
) -> None:
    """Store a session of the operator whose token has this name."""
    await db.execute(INSERT_SESSION, session_id, operator, expires_at)


IS_VALID = """
    SELECT EXISTS (SELECT FROM webhook_operator_sessions WHERE id = $1 AND expires_at > now())
"""


async def is_valid(db: Connection, session_id: TokenId) -> bool:
    """Whether the session has neither expired nor been ended."""
    return bool(await db.fetchval(IS_VALID, session_id))


DELETE_SESSION = "DELETE FROM webhook_operator_sessions WHERE id = $1"


async def delete(db: Connection, session_id: TokenId) -> None:
    """End a session."""
    await db.execute(DELETE_SESSION, session_id)


DELETE_EXPIRED = """
    -- Unlocked: one daemon at a time prunes.
    DELETE FROM webhook_operator_sessions
     WHERE id = ANY (ARRAY(SELECT id FROM webhook_operator_sessions
                            WHERE expires_at < now() - $1::interval
                            ORDER BY expires_at
                            LIMIT $2))
"""


async def delete_expired(db: Connection, *, older_than: timedelta, limit: int) -> int:
    """
    Delete up to `limit` sessions that expired longest ago; returns how many.

    Raises StatementTimeoutError.
    """
    return await delete_rows(db, DELETE_EXPIRED, older_than, limit)
