"""
The janitor: deletes what is older than configured, in batches so small and so far apart that nobody
notices.

It takes at most a fifth of one connection's time. Of all daemons one is at it: who finds another at
work leaves it to that one until its own next round.
"""

import asyncio
from collections import Counter, deque
from dataclasses import replace
from datetime import timedelta
from math import inf
from typing import Any

import asyncpg
import structlog

from daemon.appetite import Appetite
from daemon.metrics import Metrics
from daemon.store import retention
from daemon.store.database import Connection, Database
from daemon.store.retention import BEGINNING, Place, Shelf

log = structlog.get_logger()

# Notices, and replays that are over: as long as anybody may want to look back.
RECORDS_AGE = timedelta(days=90)
REST = timedelta(seconds=60)
# Readiness wants to see every loop come round.
LONGEST_NAP_SECONDS = 10.0
REST_PER_WORK = 4.0
BATCH_SECONDS = 0.05
SMALLEST_BATCH, LARGEST_BATCH = 100, 500
BATCHES_PER_LOOK = 2
# Where very much was deleted and not vacuumed yet, a look could take as long as it likes.
LONGEST_STATEMENT = timedelta(seconds=2)
# What had to stay when it was passed, or was inserted with an old time, is found by these.
ROUNDS_PER_WHOLE_ROUND = 60


class Janitor:
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
        self._clearings = (
            Clearing(retention.DELIVERIES, older_than=deliveries),
            Clearing(retention.EVENTS, older_than=events),
            Clearing(retention.REPLAYS, older_than=RECORDS_AGE),
            Clearing(retention.NOTICES, older_than=RECORDS_AGE),
        )
        self._rest_seconds = min(rest, deliveries, events).total_seconds()
        self._next_round_at: float | None = None
        self._rounds = 0
        self._to_clear: deque[Clearing] = deque()
        self._deleted: Counter[str] = Counter()
        self._appetite = Appetite(least=SMALLEST_BATCH, most=LARGEST_BATCH, seconds=BATCH_SECONDS)

    @property
    def resting(self) -> bool:
        """Whether a round is over, and the next one not begun."""
        return not self._to_clear

    async def turn(self) -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        if self.resting and (nap := self._nap_seconds(began)) > 0:
            return nap
        clearing = self._to_clear[0]
        try:
            async with self._database.transaction(durable=False) as db:
                if await retention.only_one(db, statement=LONGEST_STATEMENT):
                    await self._clear_some(db, clearing)
                else:
                    self._to_clear.clear()
        except asyncpg.QueryCanceledError:
            self._give_way(clearing)
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
        for clearing in self._clearings:
            clearing.begin(whole=self._rounds % ROUNDS_PER_WHOLE_ROUND == 0)
        self._to_clear.extend(self._clearings)
        self._rounds += 1
        return 0.0

    async def _clear_some(self, db: Connection, clearing: "Clearing") -> None:
        if clearing.found:
            await self._delete_some(db, clearing)
        else:
            await clearing.look(db, limit=self._appetite.size * BATCHES_PER_LOOK)
        if clearing.over:
            self._to_clear.popleft()

    async def _delete_some(self, db: Connection, clearing: "Clearing") -> None:
        began = asyncio.get_running_loop().time()
        deleted = await clearing.delete(db, limit=self._appetite.size)
        self._appetite.took(asyncio.get_running_loop().time() - began)
        self._deleted[clearing.table] += deleted
        self._metrics.rows_deleted(clearing.table, deleted)

    def _give_way(self, clearing: "Clearing") -> None:
        """After a statement that took too long: take less, and where it was a look, leave it."""
        log.warning("janitor.gave_way", table=clearing.table)
        self._appetite.took(inf)
        if not clearing.found:
            self._to_clear.popleft()

    def _end_round(self, now: float) -> None:
        if deleted := +self._deleted:
            log.info("rows.deleted", **deleted)
        self._deleted.clear()
        self._next_round_at = now + self._rest_seconds


class Clearing:
    """A table in a round: `begin`, `look`, `delete` what was `found`, look again, until `over`."""

    def __init__(self, shelf: Shelf, *, older_than: timedelta) -> None:
        self.table = shelf.table
        self.found: list[Any] = []
        self._shelf = shelf
        self._older_than = older_than
        self._next: Place | None = None
        # Whether the next look begins where the last one did, and what was deleted in between.
        self._again = False
        self._deleted = 0
        # Up to where the last round that was finished has cleared, and this one when it is.
        self._cleared = BEGINNING
        self._floor: str | None = None

    @property
    def over(self) -> bool:
        return not self.found and self._next is None

    def begin(self, *, whole: bool) -> None:
        """Begin another round, with what earlier ones have cleared or, the `whole`, without."""
        floor = BEGINNING if whole else self._cleared
        self.found, self._next = [], Place(at=floor, floor=floor)
        self._again, self._floor = False, None

    async def look(self, db: Connection, *, limit: int) -> None:
        """Find some more; call when what was found is dealt with and it is not over."""
        assert self._next is not None
        # Else it would never get past so many rows of one time that may not go.
        past = self._again and not self._deleted
        place = replace(self._next, past=past)
        looked = await retention.find(
            db, self._shelf, place, older_than=self._older_than, limit=limit
        )
        self._again = looked.next == place
        self._floor = self._floor or looked.floor
        self.found, self._next, self._deleted = looked.ids, looked.next, 0
        if self._next is None:
            self._cleared = self._floor

    async def delete(self, db: Connection, *, limit: int) -> int:
        """Delete some of what was found, but for what somebody holds; how many rows it were."""
        deleted = await retention.delete(db, self._shelf, self.found[:limit])
        self.found = self.found[limit:]
        self._deleted += deleted
        return deleted
