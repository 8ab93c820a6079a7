"""
Stores results in batches, each in one transaction with all that follows from it.

The result, the next attempt, the endpoint's health and the notice of its transition become true
together or not at all. A result that comes after its lease was lost changes nothing.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf

import structlog

from daemon.core.errors import ConstraintViolationError, StatementError
from daemon.core.model.attempts import AttemptResult
from daemon.core.model.endpoints import Health, HealthChange
from daemon.core.model.ids import DeliveryId, WebhookId
from daemon.core.model.notices import Notice
from daemon.core.outcomes.batch_consequences import consequences
from daemon.core.outcomes.endpoint_health import HealthLimits
from daemon.core.scheduling.lanes import Lanes
from daemon.pipeline.attempt_log import AttemptLog
from daemon.pipeline.first_results import FirstResults
from daemon.pipeline.held_results import HeldResults
from daemon.pipeline.lane_waker import LaneWaker
from daemon.runtime.metrics import Metrics
from daemon.store import claims, endpoint_health, notices, results
from daemon.store.database import Database
from daemon.store.session import Connection

log = structlog.get_logger()

MAX_BATCH = 500
# Under load a short wait makes one transaction of many; alone, a result is stored at once.
LINGER_SECONDS = 0.02
WORTH_A_TRANSACTION = 64
FEW = 8  # results, which one statement stores
HELD_SECONDS = 0.25
# First attempts in the queue of an endpoint that was paused wait until they have become rows.
PAUSED_SECONDS = 2.0
LAST_SUCCESS_SECONDS = 1.0
MOST_REMEMBERED = 20_000


@dataclass(frozen=True, slots=True)
class Stored:
    """What one transaction did: `next_due` has a time or None for every stored result."""

    free: Sequence[AttemptResult]
    held: Sequence[AttemptResult]
    next_due: Mapping[DeliveryId, datetime | None]
    changes: Sequence[HealthChange]
    recovered: Sequence[WebhookId]
    notices: Sequence[Notice]


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
    ) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._limits = limits
        self._lanes = lanes
        self._waker = waker
        self._metrics = metrics
        self._waiting: deque[AttemptResult] = deque()
        self._first_results = first_results
        self._held = HeldResults(database, first_results, lease=lease)
        self._storing = 0
        self._success_written_at: dict[WebhookId, float] = {}
        self._log = AttemptLog()

    @property
    def backlog(self) -> int:
        """How many results wait to be stored, held ones excepted."""
        return len(self._waiting) + self._storing

    def add(self, result: AttemptResult) -> None:
        """Take a result to be stored soon; never waits."""
        self._waiting.append(result)
        self.wake.set()

    async def emptied(self) -> None:
        """Wait until every result is stored that can be."""
        while self.backlog:
            self.wake.set()
            await asyncio.sleep(0.01)

    async def run_once(self) -> float:
        if 0 < len(self._waiting) < WORTH_A_TRANSACTION <= self._lanes.in_flight:
            await asyncio.sleep(LINGER_SECONDS)
        batch = self._next_batch()
        if not batch:
            return 1.0
        self._storing = len(batch)
        try:
            await self._store(batch)
        except BaseException:
            self._waiting.extendleft(reversed(batch))
            raise
        finally:
            self._storing = 0
        self._lanes.block(self._held.webhook_ids, now=time.monotonic())
        if self._lanes.ready:
            self._waker.wake.set()  # stored results and released locks leave room for attempts
        if self._held:
            await self._held.prolong()
            return HELD_SECONDS
        return 0.0 if self._waiting else 1.0

    def _next_batch(self) -> list[AttemptResult]:
        """The held results, which are older, and then as many of the waiting as fit."""
        batch = self._held.take()
        room = max(1, MAX_BATCH - len(batch))
        batch += [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]
        return batch

    async def _store(self, batch: Sequence[AttemptResult]) -> None:
        if len(batch) <= FEW:
            batch = await self._store_plain(batch)
            if not batch:
                return
        try:
            await self._store_together(batch)
        except ConstraintViolationError:
            # A webhook was deleted meanwhile, and now it is gone; or the connection was lost while
            # the results were being committed.
            await self._store_together(batch, repeated=True)
        except StatementError:
            # One result that cannot be stored must not hold up the others, nor be resent for ever.
            for result in batch:
                await self._store_alone(result)

    async def _store_plain(self, batch: Sequence[AttemptResult]) -> Sequence[AttemptResult]:
        """Store results that are plain by one statement; returns those that are left."""
        began = time.perf_counter()
        async with self._first_results.writing:
            if not self._first_results.are_plain(batch):
                return batch
            webhooks = {each.claim.webhook_id for each in batch}
            news = [each for each in webhooks if self._is_success_news(each)]
            try:
                async with self._database.connection() as db:
                    ids = await self._first_results.store_plain(db, batch, succeeded=news)
            except StatementError:
                return batch
            stored, left = _split(batch, lambda each: each.claim.delivery_id not in ids)
            self._first_results.settle(stored)
        if stored:
            self._observe(stored, began)
            next_due = dict.fromkeys(ids)
            self._report(Stored(stored, (), next_due, changes=(), recovered=(), notices=()))
        return left

    async def _store_alone(self, result: AttemptResult) -> None:
        try:
            await self._store_together([result])
        except StatementError:
            log.exception("result.unstorable", delivery_id=str(result.claim.delivery_id))
            await self._store_together([result], bare=True)

    async def _store_together(
        self, batch: Sequence[AttemptResult], *, bare: bool = False, repeated: bool = False
    ) -> None:
        began = time.perf_counter()
        async with self._first_results.writing:
            async with self._database.transaction() as db:
                stored = await self._write(db, batch, bare=bare, repeated=repeated)
            self._first_results.settle(stored.free)
        self._held.add(stored.held)
        self._observe(stored.free, began)
        self._report(stored)

    def _observe(self, stored: Sequence[AttemptResult], began: float) -> None:
        self._metrics.pipeline.result_store_seconds.observe(time.perf_counter() - began)
        self._metrics.pipeline.result_batch_size.observe(len(stored))

    async def _write(
        self, db: Connection, batch: Sequence[AttemptResult], *, bare: bool, repeated: bool
    ) -> Stored:
        """Write results, health and notices within the caller's transaction."""
        health = await endpoint_health.lock_health(
            db, list({result.claim.webhook_id for result in batch})
        )
        locked_webhooks = await _locked_webhooks(db, batch, health)
        free, held = _split(batch, lambda r: r.claim.webhook_id in locked_webhooks)
        claimed, first = _split(free, lambda r: r.claim.from_inbox)
        next_due = await results.store(db, claimed, bare=bare)
        missed = [r.claim for r in claimed if r.claim.delivery_id not in next_due]
        next_due |= await self._first_results.store(
            db, first, webhooks=health.keys(), bare=bare, repeated=repeated
        )
        locked_rows = await claims.still_leased(db, missed)
        ours = [result for result in free if result.claim.delivery_id in next_due]
        changes, transitions = consequences(ours, health, self._limits)
        if written := [each for each in changes if self._is_news(each, health)]:
            await endpoint_health.change_health(db, written)
        if recovered := _recovered(health, changes):
            await endpoint_health.notify_recovered(db, recovered)
        if transitions:
            await notices.write(db, transitions)
        free, locked = _split(free, lambda r: r.claim.delivery_id in locked_rows)
        return Stored(free, held + locked, next_due, changes, recovered, transitions)

    def _is_news(self, change: HealthChange, before: Mapping[WebhookId, Health]) -> bool:
        """
        Whether a change is written: a success of a healthy endpoint is, once in a while.
        """
        if change.failed or change.health != before[change.webhook_id]:
            return True
        return self._is_success_news(change.webhook_id)

    def _is_success_news(self, webhook_id: WebhookId) -> bool:
        """
        Whether to write `last_success_at`, which may be up to LAST_SUCCESS_SECONDS late.

        It would be a row version for each delivery.
        """
        now = time.monotonic()
        if now - self._success_written_at.get(webhook_id, -inf) < LAST_SUCCESS_SECONDS:
            return False
        if len(self._success_written_at) >= MOST_REMEMBERED:
            self._success_written_at.clear()
        self._success_written_at[webhook_id] = now
        return True

    def _report(self, stored: Stored) -> None:
        """Count and log what was stored, and announce the next attempts."""
        self._metrics.attempts.observe(stored.free)
        for result in stored.free:
            claim, verdict = result.claim, result.verdict
            if claim.delivery_id not in stored.next_due:
                self._metrics.pipeline.leases_lost.inc()
                self._log.lease_lost(claim)
                continue
            self._metrics.pipeline.deliveries_created.inc(claim.from_inbox)
            if verdict.retry_in is not None:
                due = stored.next_due[claim.delivery_id]
                self._waker.announce(
                    *(claim.webhook_id, verdict.retry_in.total_seconds(), due),
                    tenant_id=claim.tenant_id,
                )
            self._log.attempted(result)
        for change in stored.changes:
            if not change.health.is_active:
                self._waker.space(change.webhook_id, PAUSED_SECONDS)
            elif change.health.is_failing and change.probe_in:
                self._waker.space(change.webhook_id, change.probe_in.total_seconds())
        for webhook_id in stored.recovered:
            self._waker.announce_if_known(webhook_id)
        for notice in stored.notices:
            self._metrics.notifications.notices[notice.kind].inc()
            self._log.endpoint_changed(notice)


def _split(
    batch: Sequence[AttemptResult], is_held: Callable[[AttemptResult], bool]
) -> tuple[list[AttemptResult], list[AttemptResult]]:
    """The others, and those that are held."""
    free: list[AttemptResult] = []
    held: list[AttemptResult] = []
    for result in batch:
        (held if is_held(result) else free).append(result)
    return free, held


def _recovered(
    before: Mapping[WebhookId, Health], changes: Sequence[HealthChange]
) -> list[WebhookId]:
    """The webhooks that were failing and are not any more."""
    return [
        change.webhook_id
        for change in changes
        if before[change.webhook_id].is_failing and not change.health.is_failing
    ]


async def _locked_webhooks(
    db: Connection, batch: Sequence[AttemptResult], health: Mapping[WebhookId, Health]
) -> Collection[WebhookId]:
    """
    The webhooks that another transaction holds.

    A webhook that is gone holds nothing up: its deliveries went with it.
    """
    missing = {r.claim.webhook_id for r in batch} - health.keys()
    return await endpoint_health.existing(db, list(missing)) if missing else ()
