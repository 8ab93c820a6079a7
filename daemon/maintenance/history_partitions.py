"""
The loop that makes the partitions of coming days, and drops those of expired ones.

It waits for no lock, and holds none for long: what cannot be done now is done later. Until then,
rows without a partition of their own are stored all the same, and expired rows are deleted one by
one by the retention loop.
"""

import asyncio
from datetime import timedelta

import structlog

from daemon.core.errors import DatabaseBusyError, StatementError, StatementTimeoutError
from daemon.store import history_partitions
from daemon.store.database import Database

log = structlog.get_logger()

REST_SECONDS = 300.0
BACK_OFF_SECONDS = 60.0  # doubled for each round that failed
# Each try holds up others for a moment; partitions are made a week ahead.
LONGEST_BACK_OFF_SECONDS = 900.0
# Readiness expects every loop to return within seconds.
LONGEST_REST_SECONDS = 10.0
# An hour without the locks is no reason to worry.
WARN_EVERY_SECONDS = 3600.0
# A partition that cannot be dropped may be filled again and again.
MOST_STEPS = 50


class HistoryPartitions:
    """The loop; `retention` is the age at which deliveries expire."""

    name = "history_partitions"

    def __init__(self, database: Database, *, retention: timedelta) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._retention = retention
        self._next_round_at = 0.0
        self._failed_rounds = 0
        self._warn_at: float | None = None  # None while all goes well

    async def run_once(self) -> float:
        """Make and drop partitions, if it is time; returns the seconds to rest."""
        now = asyncio.get_running_loop().time()
        if now >= self._next_round_at:
            await self._round(now)
            back_off = BACK_OFF_SECONDS * 2 ** min(self._failed_rounds, 10)
            rest = min(back_off, LONGEST_BACK_OFF_SECONDS) if self._failed_rounds else REST_SECONDS
            self._next_round_at = now + rest
        return min(LONGEST_REST_SECONDS, max(0.0, self._next_round_at - now))

    async def _round(self, now: float) -> None:
        """Take every step, also after one that failed."""
        reasons: list[str] = []
        is_lasting = False
        for step in (self._add, self._drop, self._look_for_dependents):
            try:
                await step()
            except (DatabaseBusyError, StatementTimeoutError) as error:
                reasons.append(str(error))
            except StatementError as error:
                reasons.append(str(error))
                is_lasting = True
        if reasons:
            self._failed(now, reasons, is_lasting=is_lasting)
        else:
            self._failed_rounds, self._warn_at = 0, None

    async def _add(self) -> None:
        for _ in range(MOST_STEPS):
            async with self._database.transaction(durable=False) as db:
                made = await history_partitions.add(db, retention=self._retention)
            if made is None:
                return
            log.info("history_partition.made", partition=made)

    async def _drop(self) -> None:
        for _ in range(MOST_STEPS):
            async with self._database.transaction(durable=False) as db:
                expired = await history_partitions.drop(db, retention=self._retention)
            if expired is None:
                return
            if expired.is_gone:
                log.info("history_partition.dropped", partition=expired.name)
            else:
                log.info("history_partition.emptied", partition=expired.name)

    async def _look_for_dependents(self) -> None:
        async with self._database.connection() as db:
            found = await history_partitions.dependents(db, retention=self._retention)
        if found:
            more = f" ({len(found) - 1} more)" if len(found) > 1 else ""
            raise StatementError(f"{found[0].sentence}{more}")

    def _failed(self, now: float, reasons: list[str], *, is_lasting: bool) -> None:
        """Warn once an hour; the first time at once if it will not end by itself."""
        self._failed_rounds += 1
        if self._warn_at is None:
            self._warn_at = now if is_lasting else now + WARN_EVERY_SECONDS
        if now >= self._warn_at:
            self._warn_at = now + WARN_EVERY_SECONDS
            log.warning(
                "history_partitions.failed", reason="; ".join(reasons), rounds=self._failed_rounds
            )
