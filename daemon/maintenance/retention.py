"""
The janitor: deletes what is older than configured, in batches so small and so far apart that nobody
notices.

It takes at most a fifth of one connection's time. Of all daemons one is at it: who finds another at
work leaves it to that one until its own next round.
"""

import asyncio
from collections import Counter
from datetime import timedelta
from math import inf

import asyncpg
import structlog

from daemon.core.scheduling.batch_size import BatchSize
from daemon.maintenance.retention_jobs import Chore, Clearing, Weeding
from daemon.runtime.metrics import Metrics
from daemon.store import retention
from daemon.store.database import Database
from daemon.store.session import Connection

log = structlog.get_logger()

REST = timedelta(seconds=60)
# Readiness wants to see every loop come round.
LONGEST_NAP_SECONDS = 10.0
REST_PER_WORK = 4.0
BATCH_SECONDS = 0.05
SMALLEST_BATCH, LARGEST_BATCH = 100, 500
# Where very much was deleted and not vacuumed yet, a look could take as long as it likes.
LONGEST_STATEMENT = timedelta(seconds=2)


class Retention:
    """
    The loop; `deliveries` and `events` are the ages from which on each are deleted.

    Between two rounds through everything it rests for `rest`, or for the lesser age where that is
    shorter. So it does before the first one: whoever has just started has better things to do.
    """

    name = "janitor"

    def __init__(
        self,
        database: Database,
        *,
        deliveries: timedelta,
        events: timedelta,
        metrics: Metrics,
        rest: timedelta = REST,
    ) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._metrics = metrics
        self._chores: tuple[Chore, ...] = (
            Clearing(retention.DELIVERIES, older_than=deliveries),
            Clearing(retention.EVENTS, older_than=events),
            Weeding("replays", retention.REPLAYS),
            Weeding("notices", retention.NOTICES),
        )
        self._rest_seconds = min(rest, deliveries, events).total_seconds()
        self._next_round_at: float | None = None
        self._deleted: Counter[str] = Counter()
        self._appetite = BatchSize(least=SMALLEST_BATCH, most=LARGEST_BATCH, seconds=BATCH_SECONDS)

    @property
    def resting(self) -> bool:
        """Whether a round is over, and the next one not begun."""
        return all(chore.over for chore in self._chores)

    async def run_once(self) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        if self.resting and (nap := self._nap_seconds(began)) > 0:
            return nap
        chore = next(each for each in self._chores if not each.over)
        try:
            async with self._database.transaction(durable=False) as db:
                if await retention.only_one(db, statement=LONGEST_STATEMENT):
                    await self._go_on(db, chore)
                else:
                    self._leave(*self._chores)
        except asyncpg.QueryCanceledError:
            log.warning("janitor.gave_way", table=chore.table)
            self._appetite.took(inf)
            self._leave(chore)
        now = loop.time()
        if self.resting:
            self._end_round(now)
        return min(LONGEST_NAP_SECONDS, (now - began) * REST_PER_WORK)

    def _nap_seconds(self, now: float) -> float:
        """How long to rest before the next round; 0: it has begun."""
        if self._next_round_at is None:
            self._next_round_at = now + self._rest_seconds
        if now < self._next_round_at:
            return min(LONGEST_NAP_SECONDS, self._next_round_at - now)
        for chore in self._chores:
            chore.begin()
        return 0.0

    async def _go_on(self, db: Connection, chore: "Chore") -> None:
        began = asyncio.get_running_loop().time()
        deleted = await chore.step(db, limit=self._appetite.size)
        if deleted is not None:
            self._appetite.took(asyncio.get_running_loop().time() - began)
            self._deleted[chore.table] += deleted
            self._metrics.maintenance.rows_deleted[chore.table].inc(deleted)

    def _leave(self, *chores: "Chore") -> None:
        """Do no more of it in this round."""
        for chore in chores:
            chore.over = True

    def _end_round(self, now: float) -> None:
        if deleted := +self._deleted:
            log.info("rows.deleted", **deleted)
        self._deleted.clear()
        self._next_round_at = now + self._rest_seconds
