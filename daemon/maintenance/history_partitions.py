"""
The loop that makes the partitions of coming days, and drops those of expired ones.

It waits for no lock: what cannot be done now is done a minute later. Until then rows without a
partition of their own are stored all the same, and expired rows are deleted one by one by the
retention loop.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from daemon.core.errors import DatabaseBusyError, StatementError
from daemon.store import history_partitions
from daemon.store.database import Database

log = structlog.get_logger()

REST_SECONDS = 60.0
# Readiness expects every loop to return within seconds.
LONGEST_REST_SECONDS = 10.0
# Partitions are made two days ahead: some hours without the locks are no reason to worry.
WARN_AFTER_FAILURES = 60


class HistoryPartitions:
    """The loop; `retention` is the age at which deliveries expire."""

    name = "history_partitions"

    def __init__(self, database: Database, *, retention: timedelta) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._retention = retention
        self._next_round_at = 0.0
        self._failures = 0

    async def run_once(self) -> float:
        """Make and drop partitions, if it is time; returns the seconds to rest."""
        now = asyncio.get_running_loop().time()
        if now >= self._next_round_at:
            await self._round()
            self._next_round_at = now + REST_SECONDS
        return min(LONGEST_REST_SECONDS, max(0.0, self._next_round_at - now))

    async def _round(self) -> None:
        try:
            await self._repeat(history_partitions.add, "history_partition.made")
            await self._repeat(history_partitions.drop, "history_partition.dropped")
        except DatabaseBusyError as error:
            self._failed(error, warn=self._failures + 1 == WARN_AFTER_FAILURES)
        except StatementError as error:
            self._failed(error, warn=self._failures == 0)
        else:
            self._failures = 0

    async def _repeat(self, step: Callable[..., Awaitable[str | None]], event: str) -> None:
        """Do one step after the other, each in a transaction, until there is nothing to do."""
        while True:
            async with self._database.transaction(durable=False) as db:
                partition = await step(db, retention=self._retention)
            if partition is None:
                return
            log.info(event, partition=partition)

    def _failed(self, error: Exception, *, warn: bool) -> None:
        self._failures += 1
        if warn:
            log.warning("history_partitions.failed", reason=str(error), rounds=self._failures)
