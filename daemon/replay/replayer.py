"""
The replayer: makes the deliveries of running replays, batch by batch, in the room new events leave.

Every daemon takes part in all replays, one step of one replay at a time; what their filters decide
by data is found beside the steps (`replay.decisions`). Of those that are due, the tenant that
recently took least time comes first. Their progress is in their rows; the pace and the decisions
that a daemon remembers are hints, and are lost with it.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf
from uuid import UUID

import structlog

from daemon.core.errors import ROW_FAILURES, DatabaseBusyError, WebhookdError
from daemon.core.matching.compiler import UnusableFilter
from daemon.core.matching.replay_filter import ReplayFilter
from daemon.core.model.cursor import FIRST_ID
from daemon.core.model.ids import ReplayId, TenantId
from daemon.core.scheduling.daily_quota import DailyQuota
from daemon.core.scheduling.lanes import Lanes
from daemon.core.scheduling.recent_use import RecentUse
from daemon.core.scheduling.replay_pace import (
    EMPTY_BATCH,
    MAX_READ,
    SLOT_SHARE,
    Batch,
    Candidate,
    Outstanding,
    Pace,
    before,
    next_batch,
)
from daemon.pipeline.lane_waker import LaneWaker
from daemon.replay.decisions import Decisions
from daemon.replay.reasons import reason_for_fewer
from daemon.replay.selection import select_by_type
from daemon.runtime.metrics import Metrics
from daemon.store import (
    operational_events,
    replay_batches,
    replay_results,
    replay_steps,
    replays,
)
from daemon.store.database import Database
from daemon.store.event_data_reader import EventDataReader
from daemon.store.replay_batches import PendingAttempts
from daemon.store.replay_candidates import DATA_READ_AT_ONCE
from daemon.store.replay_steps import LockedReplay
from daemon.store.session import Connection

log = structlog.get_logger()

LIST_SECONDS = 1.0
IDLE_SECONDS = 15.0  # while no replay runs; a new one is announced
ADD_UP_SECONDS, IDLE_ADD_UP_SECONDS = 10.0, 30.0  # the latter while there is nothing to add
MAX_REPLAYS = 100
# After a step that added deliveries: leaves the event loop and the database to others.
PAUSE_SECONDS = 0.01
# Stored bytes of data that one step copies: other replays wait meanwhile. One event may have more.
COPIED_AT_ONCE = 2 * 1024 * 1024
# Tenants whose recent steps took equally long, up to this, come in turn.
STEP_SECONDS = 0.02
# Before a replay is tried again of which others hold rows, or a step failed: others come first.
RETRY_SECONDS, LONGEST_RETRY_SECONDS, MOST_DOUBLED = 1.0, 30.0, 5
# Of a statement in a step, and twice as long after each failure in a row: other replays wait.
STATEMENT_TIME, LONGEST_STATEMENT_TIME = timedelta(seconds=1), timedelta(seconds=8)


@dataclass(slots=True)
class RunningReplay:
    """
    A replay of a tenant as this daemon remembers it.

    `next_at` is when its next step is due, after `failures` in a row; pending deliveries are
    counted from `since` on.
    """

    tenant_id: TenantId
    next_at: float
    pace: Pace = field(default_factory=Pace)
    since: datetime | None = None
    failures: int = 0


@dataclass(frozen=True, slots=True)
class _Next:
    """The next batch, or, if it is empty, the events whose data decide what is in it."""

    batch: Batch = EMPTY_BATCH
    pending: PendingAttempts = field(default_factory=PendingAttempts)
    undecided: Sequence[UUID] = ()


class Replayer:
    """
    The loop; it announces each webhook that got deliveries. `wake` is set with a new replay.

    `completed` is set soon after one has ended, for the fan-out of its operational event.
    """

    name = "replayer"

    def __init__(
        self,
        database: Database,
        lanes: Lanes,
        waker: LaneWaker,
        *,
        kept_for: timedelta,
        reader: EventDataReader,
        metrics: Metrics,
        wake: asyncio.Event,
        completed: asyncio.Event,
        copies: DailyQuota,
        most_bytes: int,
    ) -> None:
        self.wake = wake
        self._completed = completed
        self._copies = copies
        self._most_bytes = most_bytes
        self._database = database
        self._lanes = lanes
        self._waker = waker
        self._kept_for = kept_for
        self._decisions = Decisions(database, reader, on_made=wake.set)
        self._metrics = metrics
        self._running: dict[ReplayId, RunningReplay] = {}
        self._use = RecentUse(STEP_SECONDS)
        self._list_at = 0.0
        self._add_up_at = 0.0

    async def run_once(self) -> float:
        """Make the step that is due first; return the seconds until the next call."""
        now = time.monotonic()
        if now >= self._add_up_at:
            self._add_up_at = now + ADD_UP_SECONDS
            if not await self._add_up_results():
                self._add_up_at = now + IDLE_ADD_UP_SECONDS
        if now >= self._list_at or not self._running:
            await self._list(now)
        if not self._running:
            return IDLE_SECONDS
        waiting = {k: v for k, v in self._running.items() if not self._decisions.is_deciding(k)}
        next_at = min((each.next_at for each in waiting.values()), default=inf)
        if next_at > now:
            return min(next_at, self._list_at) - now
        replay_id, running = self._first_of(waiting, now)
        self._decisions.take_result(replay_id)
        added = await self._try_step(replay_id, running)
        ended = time.monotonic()
        self._use.spend(running.tenant_id, ended - now, now=ended)
        running.next_at = ended + _rest_of(running)
        return PAUSE_SECONDS if added else 0.0

    def _first_of(
        self, waiting: Mapping[ReplayId, RunningReplay], now: float
    ) -> tuple[ReplayId, RunningReplay]:
        """The one that is due of the tenant that recently took least; one at least is due."""
        return min(
            ((k, each) for k, each in waiting.items() if each.next_at <= now),
            key=lambda item: (self._use.steps(item[1].tenant_id, now=now), item[1].next_at),
        )

    async def close(self) -> None:
        """End what was begun beside the steps."""
        await self._decisions.close()

    async def _list(self, now: float) -> None:
        async with self._database.connection() as db:
            tenants = await replay_steps.list_running(db, limit=MAX_REPLAYS)
        if not self._running.keys() <= tenants.keys():
            self._completed.set()
        self._running = {
            each: self._running.get(each) or RunningReplay(tenant_id, now)
            for each, tenant_id in tenants.items()
        }
        self._decisions.keep(tenants)
        self._list_at = now + LIST_SECONDS

    async def _add_up_results(self) -> bool:
        """Add what came of replays, since the last time, to their counts; returns if anything."""
        async with self._database.connection() as db:
            first = last = await replay_results.add_up_next(db, after=FIRST_ID)
            while last is not None:
                last = await replay_results.add_up_next(db, after=last)
        return first is not None

    async def _try_step(self, replay_id: ReplayId, running: RunningReplay) -> bool:
        """As `_step`; what fails, or is held by others, is this replay's alone."""
        try:
            moved = await self._step(replay_id, running)
        except (*ROW_FAILURES, DatabaseBusyError) as error:
            running.failures += 1
            log.warning(
                "replay.step_failed",
                replay_id=str(replay_id),
                tenant_id=str(running.tenant_id),
                reason=str(error),
                exc_info=None if isinstance(error, WebhookdError) else error,
            )
            return False
        running.failures = 0
        return moved

    async def _step(self, replay_id: ReplayId, running: RunningReplay) -> bool:
        """Add a replay's next batch if there is room for one; return whether it moved on."""
        # Need not be durable: deliveries and cursor that a crash undoes are made again together.
        async with self._database.transaction(durable=False, for_all=True) as db:
            await replay_steps.limit_time(db, _most_time_of(running))
            replay = await replay_steps.lock(db, replay_id)
            if replay is None or isinstance(replay.filter, UnusableFilter):
                running.pace.idle()
                return False
            outstanding = await replay_steps.outstanding(db, replay, since=running.since)
            found = await self._next_batch(db, replay, running.pace, outstanding)
            batch, pending = found.batch, found.pending
            if batch.end is not None:
                made = await replay_batches.make(
                    db, replay, batch, pending, most_bytes=self._most_bytes
                )
        if found.undecided:
            self._decisions.begin(replay, replay.filter, found.undecided)
            return False
        if batch.end is None:
            running.pace.idle()
            return False
        self._copies.note(replay.tenant_id, made.copied_bytes, now=time.monotonic())
        running.since = outstanding.oldest or made.due_at
        running.pace.added(batch)
        known = sum(each in pending.ours for each in batch.ids)
        self._metrics.attempts.duplicates_avoided["pending"].inc(known)
        if made.count:
            self._metrics.pipeline.replayed_deliveries.inc(made.count)
            self._waker.announce(
                *(replay.webhook_id, 0.0, made.due_at),
                tenant_id=replay.tenant_id,
                failing=replay.failing,
            )
        return True

    async def _next_batch(
        self, db: Connection, replay: LockedReplay, pace: Pace, outstanding: Outstanding
    ) -> _Next:
        """Read the batch that there is room for; complete a replay that has nothing left."""
        room = pace.room(
            outstanding,
            free=self._lanes.half_free(replay.webhook_id),
            slots=self._slots_of_each(),
            failing=replay.failing,
        )
        if room == 0:
            return _Next()
        assert isinstance(replay.filter, ReplayFilter)
        max_read = DATA_READ_AT_ONCE if replay.filter.needs_data else MAX_READ
        candidates = await replay_steps.next_candidates(
            db, replay, limit=pace.to_read(room, max_read), kept_for=self._kept_for
        )
        if not candidates and outstanding.pending == 0:
            await _complete(db, replay)
        if self._copies.wait(replay.tenant_id, now=time.monotonic()):
            return _Next()
        wanted = select_by_type(candidates, replay.filter)
        if replay.filter.needs_data:
            decided = self._decisions.of(replay)
            undecided = [each for each in wanted if each not in decided]
            known = before(candidates, undecided)
            if undecided and not known:
                return _Next(undecided=undecided)
            wanted = [each for each in wanted if decided.get(each)]
            return await _batch_of(db, replay, known, set(wanted), room)
        return await _batch_of(db, replay, candidates, set(wanted), room)

    def _slots_of_each(self) -> int:
        """An equal part of the slots that all replays may hold together."""
        return max(1, int(self._lanes.slots * SLOT_SHARE) // len(self._running))


def _rest_of(running: RunningReplay) -> float:
    """The seconds until its next step."""
    if not running.failures:
        return running.pace.rest_seconds
    doubled = min(running.failures - 1, MOST_DOUBLED)
    return min(RETRY_SECONDS * (1 << doubled), LONGEST_RETRY_SECONDS)


def _most_time_of(running: RunningReplay) -> timedelta:
    """How long one of its statements may take."""
    doubled = min(running.failures, MOST_DOUBLED)
    return min(STATEMENT_TIME * (1 << doubled), LONGEST_STATEMENT_TIME)


async def _batch_of(
    db: Connection,
    replay: LockedReplay,
    candidates: Sequence[Candidate],
    wanted: set[UUID],
    room: int,
) -> _Next:
    """The first of the candidates, up to one whose pending attempt others have locked."""
    batch = next_batch(candidates, wanted, most=room, most_bytes=COPIED_AT_ONCE)
    pending = await replay_batches.lock_pending(db, replay, batch.ids)
    if pending.held:
        free = before(candidates, pending.held)
        batch = next_batch(free, wanted, most=room, most_bytes=COPIED_AT_ONCE)
    return _Next(batch, pending)


async def _complete(db: Connection, replay: LockedReplay) -> None:
    outstanding = await replay_steps.outstanding(db, replay, since=None)
    if outstanding.pending:  # due before `since`: brought forward, or the clock was set back
        return
    made, total = await replay_steps.counts(db, replay)
    await replay_steps.complete(db, replay, reason=reason_for_fewer(replay, total - made, total))
    if (completed := await replays.get(db, replay.tenant_id, replay.id)) is not None:
        await operational_events.write_completed_replay(db, completed)
    log.info(
        "replay.completed",
        replay_id=str(replay.id),
        webhook_id=str(replay.webhook_id),
        made=made,
        total=total,
    )
