"""
The sessions that hold locks, named for the operator, and the advisory lock of `webhookd migrate`.

Any role of the database may take any advisory lock and keep it, whether it has rights on our tables
or not. So daemons use `named_locks` among themselves.
"""

from typing import Any

from daemon.store.session import Connection

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
    """The holder of the advisory lock of a key, see `session_sentence`."""
    return session_sentence(await db.fetchrow(FIND_HOLDER, key))


def session_sentence(row: Any) -> str:
    """The session of a row, for the operator: its pid, user and application; None has ended."""
    if row is None:
        return "a session that has ended"
    user, application = row["usename"] or "unknown", row["application_name"] or "unnamed"
    return f"a session (pid {row['pid']}, user {user}, application {application})"
