"""
Stores results in batches, each in one transaction with all that follows from it.

The result, the next attempt or the end of its chain, the endpoint's health and the notice of its
transition become true together or not at all. A result that comes after its lease was lost changes
nothing.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import structlog

from daemon.core.errors import (
    ROW_FAILURES,
    DatabaseBusyError,
    DatabaseUnavailableError,
    StatementError,
    StatementTimeoutError,
)
from daemon.core.model.attempts import AttemptResult
from daemon.core.model.ids import WebhookId
from daemon.core.outcomes.batch_consequences import consequences, recovered
from daemon.core.outcomes.endpoint_health import HealthLimits
from daemon.core.outcomes.transitions import transitions_of
from daemon.core.scheduling.lanes import Lanes
from daemon.core.scheduling.response_quota import ResponseQuota
from daemon.core.scheduling.slow_tenants import SlowTenants
from daemon.core.scheduling.try_pace import TryPace
from daemon.pipeline.first_results import FirstResults
from daemon.pipeline.health_writer import HealthWriter, webhooks_locked_by_others
from daemon.pipeline.held_results import HeldResults
from daemon.pipeline.lane_waker import LaneWaker
from daemon.pipeline.result_report import ResultReport, Stored
from daemon.pipeline.waiting_results import WaitingResult, WaitingResults
from daemon.runtime.metrics import Metrics
from daemon.store import (
    claim_leases,
    endpoint_health,
    notices,
    notification_queue,
    operational_events,
    remaining_attempts,
    stats_batches,
)
from daemon.store.contested_results import store_contested, store_uncontested
from daemon.store.database import Database
from daemon.store.session import Connection

log = structlog.get_logger()

MAX_BATCH = 500
# Under load a short wait makes one transaction of many; alone, a result is stored at once.
LINGER_SECONDS = 0.02
WORTH_A_TRANSACTION = 64
IDLE_SECONDS = 5.0  # a new result wakes the loop
FEW = 8  # results, which one statement stores
# While other transactions have rows with ids of ours, each costs a moment: of a small batch.
CAREFUL_SECONDS = 5.0
CAREFUL_BATCH = 50
LAST_HELD_SECONDS = 1.0  # at a stop: mostly another daemon holds a row, for a moment


class ResultWriter:
    """
    The loop that stores results, and announces each next attempt.

    Results that cannot be stored for want of a database are kept and tried again.
    """

    name = "result_writer"

    def __init__(
        self,
        database: Database,
        lanes: Lanes,
        waker: LaneWaker,
        first_results: FirstResults,
        *,
        limits: HealthLimits,
        lease: timedelta,
        metrics: Metrics,
        slow: SlowTenants,
    ) -> None:
        self.wake = asyncio.Event()
        self.wrote_events = asyncio.Event()  # operational ones, for their fan-out
        self._database = database
        self._limits = limits
        self._lanes = lanes
        self._waker = waker
        self._metrics = metrics
        self._responses = ResponseQuota()
        self._waiting = WaitingResults()
        self.unstored_of = self._waiting.of_tenant  # how many of the `backlog` are of a tenant
        # By identity: of one row, this daemon may have results of two claims.
        self._in_hand: dict[int, WaitingResult] = {}
        self._first_results = first_results
        self._held = HeldResults(database, lease=lease, slow=slow)
        self._blocked_version = self._held.version
        self._try_pace = TryPace()
        self._careful_until = 0.0
        self._stored_at = time.monotonic()
        self._health = HealthWriter()
        self._report = ResultReport(waker, metrics)
        metrics.results.oldest_result_seconds.set_function(self.oldest_seconds)
        metrics.results.held_results.set_function(lambda: len(self._held))
        metrics.results.results_waiting.set_function(lambda: self.backlog)

    def close(self) -> None:
        """Report what was stored and not logged until now."""
        self._report.close()

    @property
    def backlog(self) -> int:
        """How many results wait to be stored, held ones excepted."""
        return len(self._waiting) + len(self._in_hand)

    def oldest_seconds(self) -> float:
        """How long the oldest result waits to be stored, held ones excepted; 0 if none waits."""
        in_hand = min((each.arrived for each in self._in_hand.values()), default=None)
        waiting = self._waiting.oldest()
        since = min((each for each in (in_hand, waiting) if each is not None), default=None)
        return 0.0 if since is None else time.monotonic() - since

    def oldest_held_seconds(self) -> float:
        """How long other transactions have held the results of a webhook; 0 if they hold none."""
        return self._held.oldest_seconds()

    def unstored_seconds(self) -> float:
        """
        For how long the results of several tenants could not be stored; 0 if they can be.

        Those that other transactions hold count only while no other result is stored.
        """
        since_stored = time.monotonic() - self._stored_at
        held = min(self._held.several_tenants_seconds(), since_stored)
        return max(self.oldest_seconds(), held)

    def add(self, result: AttemptResult) -> None:
        """Take a result to be stored soon; never waits."""
        claim = result.claim
        if claim.data is not None and not claim.from_inbox:  # its row has them
            result = replace(result, claim=replace(claim, data=None))
        self._waiting.add(self._responses.applied_to(result, now=time.monotonic()))
        self.wake.set()

    async def emptied(self) -> None:
        """Wait until every result is stored that can be soon, and the last successes with them."""
        give_up_at = time.monotonic() + LAST_HELD_SECONDS
        while self.backlog or (self._held and time.monotonic() < give_up_at):
            self.wake.set()
            await asyncio.sleep(0.01)
        await self._health.write_late(self._database, everything=True)

    async def run_once(self) -> float:
        if 0 < len(self._waiting) < WORTH_A_TRANSACTION <= self._lanes.in_flight:
            await asyncio.sleep(LINGER_SECONDS)
        try:
            await self._store_waiting()
        except Exception:  # whatever keeps them from being stored: no other daemon makes them again
            await self._held.prolong(self._waiting)
            raise
        await self._held.prolong(self._waiting)
        await self._try_held()
        if self._blocked_version != self._held.version:
            self._blocked_version = self._held.version
            full = self._held.full_tenants
            self._lanes.block(self._held.webhook_ids, tenants=full, now=time.monotonic())
        if self._lanes.ready:
            self._waker.wake.set()  # stored results and released locks leave room for attempts
        await self._health.write_late(self._database)
        if self._waiting:
            return 0.0
        if not self._held:
            return min(IDLE_SECONDS, self._health.late_in())
        return self._try_pace.wait(now=time.monotonic())

    async def _store_waiting(self) -> None:
        batch = self._next_batch()
        try:
            await self._store(batch)
        except BaseException:
            self._waiting.put_back(self._in_hand.values())
            raise
        finally:
            self._in_hand.clear()
            self._waiting.end_turn()

    async def _try_held(self) -> None:
        """Try some of the held results, in a transaction without others."""
        began = time.monotonic()
        size = self._try_pace.size(now=began)
        batch = self._held.take_due(size) if size else ()
        if not batch:
            return
        left = len(self._held)
        self._in_hand = {id(each): WaitingResult(began, each) for each in batch}
        try:
            await self._store_carefully(batch, again=True)
        finally:
            self._held.add(each.result for each in self._in_hand.values())
            self._in_hand.clear()
            self._held.end_try()
            now = time.monotonic()
            may_grow = len(self._held) == left and not self._held.take_long(batch)
            self._try_pace.tried(len(batch), now - began, may_grow=may_grow, now=now)

    def _next_batch(self) -> list[AttemptResult]:
        """As many of the waiting as fit; others belong to the held ones, and join these."""
        most = CAREFUL_BATCH if self._is_careful else MAX_BATCH
        while self._waiting and not self._in_hand:
            for waiting in self._waiting.take(most):
                if self._held.belongs(waiting.result):
                    self._held.add([waiting.result])
                else:
                    self._in_hand[id(waiting.result)] = waiting
        return [each.result for each in self._in_hand.values()]

    @property
    def _is_careful(self) -> bool:
        return time.monotonic() < self._careful_until

    def _be_careful(self) -> None:
        self._careful_until = time.monotonic() + CAREFUL_SECONDS

    async def _store(self, batch: Sequence[AttemptResult]) -> None:
        if len(batch) <= FEW and not self._is_careful:
            batch = await self._store_plain(batch)
        if self._is_careful:
            await self._store_carefully(batch)
            return
        try:
            await self._store_together(batch)
        except (*ROW_FAILURES, DatabaseBusyError) as failure:
            # A webhook was deleted meanwhile, and now it is gone; or a lease was lost; or the
            # connection was, while the results were being committed; or another transaction has an
            # event of theirs, or rows with their ids; or one of them cannot be stored, or takes too
            # long.
            if isinstance(failure, DatabaseBusyError):
                self._be_careful()
            for first in range(0, len(batch), CAREFUL_BATCH):
                await self._store_carefully(batch[first : first + CAREFUL_BATCH])

    async def _store_carefully(
        self, batch: Sequence[AttemptResult], *, again: bool = False
    ) -> None:
        """
        Store results around what others have done meanwhile; in halves where that fails.

        One result that cannot be stored must not hold up the others, nor be resent for ever.
        `again`: these have been tried before, each alone.
        """
        try:
            await self._store_together(batch, careful=True)
        except ROW_FAILURES as failure:
            if len(batch) > 1:
                middle = len(batch) // 2
                await self._store_carefully(batch[:middle], again=again)
                await self._store_carefully(batch[middle:], again=again)
            else:
                await self._store_bare(batch[0], failure, again=again)

    async def _store_bare(self, result: AttemptResult, failure: Exception, *, again: bool) -> None:
        """Store what can be of a result that cannot be stored as it came; else it is held."""
        delivery_id = str(result.claim.delivery_id)
        if again or not isinstance(failure, StatementTimeoutError):
            log.error("result.unstorable", delivery_id=delivery_id, exc_info=failure)
            try:
                await self._store_together([result], careful=True, bare=True)
            except ROW_FAILURES as failure_of_bare:
                failure = failure_of_bare
            else:
                return
        # The whole server may have stood still: once more, apart from others.
        log.warning("result.put_aside", delivery_id=delivery_id, reason=str(failure))
        del self._in_hand[id(result)]
        self._held.add([result])

    async def _store_plain(self, batch: Sequence[AttemptResult]) -> Sequence[AttemptResult]:
        """Store results that are plain by one statement; returns those that are left."""
        began = time.perf_counter()
        async with self._first_results.writing:
            if not batch or not self._first_results.are_plain(batch):
                return batch
            webhooks = {each.claim.webhook_id for each in batch}
            due = [each for each in webhooks if self._health.is_success_due(each)]
            try:
                async with self._database.connection() as db:
                    at = time.monotonic()
                    ids = await self._first_results.store_plain(db, batch, succeeded=due)
            except (*ROW_FAILURES, DatabaseBusyError) as failure:
                if isinstance(failure, StatementTimeoutError | DatabaseBusyError):  # a lock
                    self._be_careful()
                return batch
            stored = [each for each in batch if each.claim.delivery_id in ids]
            left = [each for each in batch if each.claim.delivery_id not in ids]
            self._first_results.settle(stored)
            succeeded = {r.claim.webhook_id: ids[r.claim.delivery_id] for r in stored}
            written = [webhook_id for webhook_id, is_written in succeeded.items() if is_written]
            self._health.stored(succeeded, written=written, at=at)
        if stored:
            self._end(Stored(stored, (), dict.fromkeys(each.claim.key for each in stored)), began)
        return left

    async def _store_together(
        self, batch: Sequence[AttemptResult], *, bare: bool = False, careful: bool = False
    ) -> None:
        if not batch:
            return
        began = time.perf_counter()
        async with self._first_results.writing:
            async with self._database.transaction(for_all=True) as db:
                at = time.monotonic()
                stored = await self._write(db, batch, bare=bare, careful=careful)
            self._first_results.settle(stored.free)
            succeeded = (each.webhook_id for each in stored.changes if each.succeeded)
            self._health.stored(succeeded, written=stored.successes, at=at)
        self._end(stored, began)
        await self._wake_others(stored.recovered)

    async def _wake_others(self, recovered: Sequence[WebhookId]) -> None:
        """
        Have all daemons stop waiting for `next_probe_at`.

        Apart from the results, whose transaction would fail with the notification. Without one,
        other daemons find a second later what is due.
        """
        if recovered:
            with suppress(DatabaseUnavailableError, StatementError):
                async with self._database.transaction(for_all=True) as db:
                    await notification_queue.notify_due(db, recovered)

    def _end(self, stored: Stored, began: float) -> None:
        """Note what one transaction has done with results."""
        for result in (*stored.free, *stored.held):
            self._in_hand.pop(id(result), None)
        self._held.add(stored.held)
        if stored.contested:
            self._be_careful()
        if stored.free:
            self._stored_at = time.monotonic()
        if stored.has_events:
            self.wrote_events.set()
        self._metrics.results.result_store_seconds.observe(time.perf_counter() - began)
        self._metrics.results.result_batch_size.observe(len(stored.free))
        self._report.stored(stored)

    async def _write(
        self, db: Connection, batch: Sequence[AttemptResult], *, bare: bool, careful: bool
    ) -> Stored:
        """Write results, health and notices within the caller's transaction."""
        health, owners = await endpoint_health.lock_health(
            db,
            {result.claim.webhook_id for result in batch},
            failed={r.claim.webhook_id for r in batch if not r.verdict.delivered},
        )
        locked_webhooks = await webhooks_locked_by_others(db, batch, health)
        free = [r for r in batch if r.claim.webhook_id not in locked_webhooks]
        held = [r for r in batch if r.claim.webhook_id in locked_webhooks]
        claimed = [r for r in free if not r.claim.from_inbox]
        first = [r for r in free if r.claim.from_inbox]
        store = store_contested if careful else store_uncontested
        claimed_stored = await store(db, claimed, bare=bare)
        next_due = claimed_stored.next_due
        missed = [r.claim for r in claimed if r.claim.key not in next_due]
        first_stored = await self._first_results.store(
            db, first, owners=owners, bare=bare, careful=careful
        )
        next_due |= first_stored.next_due
        locked_rows = await claim_leases.still_leased(db, missed) | first_stored.locked
        ours = free
        if len(next_due) < len(free):
            ours = [result for result in free if result.claim.key in next_due]
        closed = await remaining_attempts.remove(db, [r.claim for r in ours if r.verdict.delivered])
        await stats_batches.add_batch(db, ours)
        changes, transitions = consequences(ours, health, self._limits)
        successes = await self._health.write(db, changes, health)
        if transitions:
            await notices.write(db, transitions)
        renamed = {**first_stored.renamed, **claimed_stored.renamed}
        events = transitions_of(ours, transitions, row_ids=renamed)
        has_events = bool(events) and await operational_events.write_transitions(db, events)
        if locked_rows:
            held += [r for r in free if r.claim.delivery_id in locked_rows]
            free = [r for r in free if r.claim.delivery_id not in locked_rows]
        return Stored(
            *(free, held, next_due, changes, recovered(health, changes), transitions),
            renamed=renamed,
            has_events=has_events,
            contested=first_stored.contested or claimed_stored.is_contested,
            closed=closed,
            successes=successes,
        )
