"""
The loop that folds the counts of stored results into the stats of minutes and hours.

It works in short steps with longer rests, and only while no other daemon does. If it stands still,
nothing is lost and nothing waits: the counts stay in their batches until it goes on.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from math import inf

import structlog

from daemon.core.errors import DatabaseBusyError, StatementError, StatementTimeoutError
from daemon.core.scheduling.batch_size import BatchSize
from daemon.store import stats_folding
from daemon.store.database import Database
from daemon.store.session import end_of
from daemon.store.stats_folding import SETTLED_AFTER, FoldedStep

log = structlog.get_logger()

# A webhook's row is updated once in each round; until then queries read the batches.
REST_SECONDS = 30.0
# Readiness expects every loop to return within seconds.
LONGEST_REST_SECONDS = 10.0
REST_PER_STEP = 4.0
STEP_SECONDS = 0.25
SMALLEST_STEP, LARGEST_STEP = 20, 1000  # batches
STATEMENT_TIMEOUT = timedelta(seconds=2)
# A full round finds batches of transactions that took longer than can be explained.
ROUNDS_PER_FULL_ROUND = 240
WARN_AFTER_SECONDS = 600.0


class StatsFolding:
    """The loop; between two rounds it rests for `rest_seconds`."""

    name = "stats_folding"

    def __init__(
        self,
        database: Database,
        *,
        rest_seconds: float = REST_SECONDS,
        settled_after: timedelta = SETTLED_AFTER,
    ) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._rest_seconds = rest_seconds
        self._settled_after = settled_after
        self._step = BatchSize(least=SMALLEST_STEP, most=LARGEST_STEP, seconds=STEP_SECONDS)
        self._next_round_at = 0.0
        self._rounds = 0
        self._after_id: int | None = None  # where the next step of this round begins
        self._last_id = 0  # of the batches that were seen
        self._server = ""  # that has given these ids
        self._session_ended: Callable[[], bool] = bool  # that of the last step
        self._folded_at: float | None = None

    async def run_once(self) -> float:
        """Fold some batches, if it is time; returns the seconds to rest."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        if began >= self._next_round_at:
            if not await self._fold_some():
                return min(LONGEST_REST_SECONDS, (loop.time() - began) * REST_PER_STEP)
            self._next_round_at = began + self._rest_seconds
        return min(LONGEST_REST_SECONDS, max(0.0, self._next_round_at - loop.time()))

    async def _fold_some(self) -> bool:
        """Do one step; returns whether the round has ended."""
        now = asyncio.get_running_loop().time()
        try:
            async with self._database.transaction(durable=False) as db:
                counted_up_to = await stats_folding.take_lock(
                    db, statement_timeout=STATEMENT_TIMEOUT
                )
                if counted_up_to is None:
                    self._missed(now)
                    return True
                if self._session_ended():
                    self._forget_ids()
                self._session_ended = end_of(db)
                step = await stats_folding.fold(
                    db, after_id=self._begin(counted_up_to), limit=self._step.size
                )
                is_last = self._end_step(step, began=now)
                if is_last:
                    await stats_folding.note_progress(
                        db, self._last_id, settled_after=self._settled_after
                    )
        except (StatementTimeoutError, DatabaseBusyError, StatementError) as error:
            log.warning("stats.not_folded", batches=self._step.size, reason=str(error))
            self._step.took(inf)
            self._end_round()  # a full round may be what takes so long
            return True
        self._folded_at = now
        if is_last:
            self._end_round()
        return is_last

    def _begin(self, counted_up_to: int) -> int:
        """The id that the next step follows."""
        if self._after_id is not None:
            return self._after_id
        return 0 if self._rounds % ROUNDS_PER_FULL_ROUND == 0 else counted_up_to

    def _end_round(self) -> None:
        self._rounds += 1
        self._after_id = None

    def _end_step(self, step: FoldedStep, *, began: float) -> bool:
        """Note what a step has done; returns whether it was the last one of its round."""
        is_last = step.batches < self._step.size
        is_same = step.server == self._server
        if not is_same:
            self._forget_ids()
            self._server = step.server
        if step.last_id is not None:
            self._last_id = max(self._last_id, step.last_id)
            self._after_id = step.last_id if is_same else None
            self._step.took(asyncio.get_running_loop().time() - began)
        return is_last

    def _forget_ids(self) -> None:
        """Forget the ids of a server that may have lost the last of them, and gives them again."""
        self._after_id = None
        self._last_id = 0

    def _missed(self, now: float) -> None:
        """Another session has the lock: warn if that goes on."""
        if self._folded_at is None:
            self._folded_at = now
        if now - self._folded_at >= WARN_AFTER_SECONDS:
            self._folded_at = now
            log.warning("stats.locked_for_long", seconds=WARN_AFTER_SECONDS)
