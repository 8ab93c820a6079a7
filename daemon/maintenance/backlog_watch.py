"""
The loop that counts what waits in the database, for the metrics.

The rule: it takes a small fixed share of the database's time, and no scrape asks for anything.
"""

import asyncio

import structlog

from daemon.core.errors import STATEMENT_FAILURES
from daemon.core.model.backlog import Backlog
from daemon.runtime.metrics import Metrics
from daemon.store import backlog, history_partitions, system_state
from daemon.store.database import Database
from daemon.store.session import Connection

log = structlog.get_logger()

REST_SECONDS = 15.0  # as often as Prometheus usually asks
UNCHANGED_REST_SECONDS = 30.0
# Slow changes are looked for every so many rounds: an idle daemon sends few statements.
ROUNDS_OF_SLOW = 4
# Counting a large backlog takes a while: one part in so many of the time, at most.
REST_FACTOR = 50
LONGEST_REST_SECONDS = 60.0
# Readiness expects every loop to return within seconds.
LONGEST_SLEEP_SECONDS = 10.0


class BacklogWatch:
    """The loop."""

    name = "backlog_watch"

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._metrics = metrics.backlog
        self._next_round_at = 0.0
        self._rounds = 0
        self._failed = False
        self._last: Backlog | None = None
        self._least_rest = REST_SECONDS

    async def run_once(self) -> float:
        """Count, if it is time; returns the seconds to rest."""
        clock = asyncio.get_running_loop().time
        began = clock()
        if began >= self._next_round_at:
            await self._round()
            now = clock()
            rest = min(max(self._least_rest, REST_FACTOR * (now - began)), LONGEST_REST_SECONDS)
            self._next_round_at = now + rest
        return min(LONGEST_SLEEP_SECONDS, max(0.0, self._next_round_at - clock()))

    async def _round(self) -> None:
        """Count everything; figures that cannot be had stay as they were, and it is said once."""
        try:
            async with self._database.connection() as db:
                await self._observe(db)
        except STATEMENT_FAILURES as error:
            if not self._failed:
                log.warning("backlog.not_counted", reason=str(error))
            self._failed = True
        else:
            self._failed = False
            self._rounds += 1

    async def _observe(self, db: Connection) -> None:
        before, self._last = self._last, await backlog.backlog(db)
        self._metrics.observe(self._last)
        is_unchanged = self._last == before
        self._least_rest = UNCHANGED_REST_SECONDS if is_unchanged else REST_SECONDS
        if self._rounds % ROUNDS_OF_SLOW == 0:
            self._metrics.observe_mails(await system_state.mail_queue(db))
            self._metrics.observe_partitions(await history_partitions.range_of(db))
