"""Whether the database can be written to: a standby cannot, until it is promoted."""

from urllib.parse import parse_qs, urlsplit

import asyncpg

from daemon.core.errors import ReadOnlyDatabaseError
from daemon.store.errors import COMMAND_ERRORS
from daemon.store.session import CONNECT_SECONDS, Connection
from daemon.store.tls_parameters import connect_parameters

STATE = """
    SELECT pg_catalog.pg_is_in_recovery() AS is_standby,
           pg_catalog.current_setting('transaction_read_only'::text)::bool AS is_read_only
"""


async def require_writable(db: Connection) -> None:
    """Raise ReadOnlyDatabaseError, which says why nothing can be stored."""
    state = await db.fetchrow(STATE)
    if state["is_standby"]:
        raise ReadOnlyDatabaseError("the database is a standby, read-only until it is promoted")
    if state["is_read_only"]:
        raise ReadOnlyDatabaseError("the database is read-only (default_transaction_read_only)")


ASKS_FOR_WRITES = ("read-write", "primary")


async def answers_read_only(url: str) -> bool:
    """
    Whether the URL asks for a host that accepts writes, and some host answers.

    For a failed connection: of a primary that is down beside a standby, asyncpg reports only that
    nothing answers there. A standby that is promoted in between counts, the next attempt finds it.
    """
    wanted = parse_qs(urlsplit(url).query).get("target_session_attrs", [""])[-1]
    if wanted not in ASKS_FOR_WRITES:
        return False
    try:
        connection = await asyncpg.connect(
            **connect_parameters(url)._asdict(),
            target_session_attrs="any",
            timeout=CONNECT_SECONDS,
            statement_cache_size=0,  # a pooler may answer
        )
    except COMMAND_ERRORS:
        return False
    connection.terminate()
    return True
