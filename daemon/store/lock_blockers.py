"""
Says whose locks a migration waits for, as PostgreSQL sees it while the migration waits.

Only a session of its own can look: the one that waits does nothing else.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

import asyncpg
import structlog

from daemon.core.errors import DatabaseUnavailableError
from daemon.store.connection import PlainConnection, connected
from daemon.store.session import Connection

log = structlog.get_logger()

LOOK_SECONDS = 0.05
SAY_EVERY_SECONDS = 10.0

FIND_BLOCKERS = """
    -- Of other roles' sessions only pg_read_all_stats sees more than the pid and the role.
    SELECT b.pid, a.usename::text AS role, NULLIF(a.application_name, ''::text) AS application,
           pg_catalog.to_char(a.query_start AT TIME ZONE 'UTC'::text, 'HH24:MI:SS'::text) AS query,
           pg_catalog.to_char(a.xact_start AT TIME ZONE 'UTC'::text, 'HH24:MI:SS'::text) AS begun
      FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids($1::integer)) AS b (pid)
      LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = b.pid
     ORDER BY a.xact_start NULLS LAST, b.pid
     LIMIT 3
"""


class Blockers:
    """The sessions that block `name`d work of another; `last` is a sentence, empty if none did."""

    def __init__(self, connection: Connection, *, name: str) -> None:
        self._connection = connection
        self._name = name
        self._say_at = 0.0
        self.last = ""

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Look during the block, and log what is found: when it changes, and every ten seconds."""
        looking = asyncio.create_task(self._look())
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.wait([looking])

    async def _look(self) -> None:
        if not isinstance(self._connection, PlainConnection):
            return
        pid = self._connection.get_server_pid()
        try:
            async with connected(self._connection.url, plain=True) as db:
                while True:
                    self._found(await db.fetch(FIND_BLOCKERS, pid))
                    await asyncio.sleep(LOOK_SECONDS)
        except DatabaseUnavailableError as error:  # no more connections: the work goes on without
            log.warning("migration.blockers_unknown", reason=str(error))

    def _found(self, rows: list[asyncpg.Record]) -> None:
        sentence = ", ".join(map(_sentence, rows))
        if sentence and (sentence != self.last or monotonic() >= self._say_at):
            self.last, self._say_at = sentence, monotonic() + SAY_EVERY_SECONDS
            log.warning("migration.waiting", migration=self._name, waits_for=sentence)


def _sentence(row: asyncpg.Record) -> str:
    if not row["pid"]:
        return "a prepared transaction (pg_prepared_xacts)"
    role, application = row["role"] or "unknown", row["application"] or "unnamed"
    query, begun = row["query"] or "unknown", row["begun"] or "unknown"
    return (
        f"pid {row['pid']} (role {role}, application {application}, query of {query} UTC in a"
        f" transaction since {begun} UTC)"
    )
