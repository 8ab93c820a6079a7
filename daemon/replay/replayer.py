"""
The replayer: makes the deliveries of running replays, batch by batch, in the room new events leave.

Every daemon takes part in all replays, one step of one replay at a time. Their progress is in their
rows; the pace that a daemon remembers is a hint, and is lost with it.
"""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from daemon.core.matching.compiler import UnusableFilter
from daemon.core.matching.replay_filter import ReplayFilter
from daemon.core.model.cursor import FIRST_ID
from daemon.core.model.ids import ReplayId
from daemon.core.scheduling.daily_quota import DailyQuota
from daemon.core.scheduling.lanes import Lanes
from daemon.core.scheduling.replay_pace import (
    EMPTY_BATCH,
    MAX_READ,
    SLOT_SHARE,
    Batch,
    Outstanding,
    Pace,
    before,
    next_batch,
)
from daemon.pipeline.lane_waker import LaneWaker
from daemon.replay.reasons import reason_for_fewer
from daemon.replay.selection import select_candidates
from daemon.runtime.metrics import Metrics
from daemon.runtime.offload import Offload
from daemon.store import (
    operational_events,
    replay_batches,
    replay_results,
    replay_steps,
    replays,
)
from daemon.store.database import Database
from daemon.store.replay_batches import PendingAttempts
from daemon.store.replay_candidates import DATA_READ_AT_ONCE
from daemon.store.replay_steps import LockedReplay
from daemon.store.session import Connection

log = structlog.get_logger()

LIST_SECONDS = 1.0
IDLE_SECONDS = 10.0  # while no replay runs; a new one is announced
ADD_UP_SECONDS, IDLE_ADD_UP_SECONDS = 10.0, 30.0  # the latter while there is nothing to add
MAX_REPLAYS = 100
# After a step that added deliveries: leaves the event loop and the database to others.
PAUSE_SECONDS = 0.01
# Before a replay whose step raised an error is tried again: the others come first.
RETRY_SECONDS = 1.0


@dataclass(slots=True)
class RunningReplay:
    """
    A replay as this daemon remembers it.

    `next_at` is when its next step is due; pending deliveries are counted from `since` on.
    """

    next_at: float
    pace: Pace = field(default_factory=Pace)
    since: datetime | None = None


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
        offload: Offload,
        metrics: Metrics,
        wake: asyncio.Event,
        completed: asyncio.Event,
        copies: DailyQuota,
    ) -> None:
        self.wake = wake
        self._completed = completed
        self._copies = copies
        self._database = database
        self._lanes = lanes
        self._waker = waker
        self._kept_for = kept_for
        self._offload = offload
        self._metrics = metrics
        self._running: dict[ReplayId, RunningReplay] = {}
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
        replay_id, running = min(self._running.items(), key=lambda item: item[1].next_at)
        if running.next_at > now:
            return min(running.next_at, self._list_at) - now
        running.next_at = now + RETRY_SECONDS
        added = await self._step(replay_id, running)
        running.next_at = time.monotonic() + running.pace.rest_seconds
        return PAUSE_SECONDS if added else 0.0

    async def _list(self, now: float) -> None:
        async with self._database.connection() as db:
            ids = await replay_steps.list_running(db, limit=MAX_REPLAYS)
        if not self._running.keys() <= set(ids):
            self._completed.set()
        self._running = {each: self._running.get(each) or RunningReplay(now) for each in ids}
        self._list_at = now + LIST_SECONDS

    async def _add_up_results(self) -> bool:
        """Add what came of replays, since the last time, to their counts; returns if anything."""
        async with self._database.connection() as db:
            first = last = await replay_results.add_up_next(db, after=FIRST_ID)
            while last is not None:
                last = await replay_results.add_up_next(db, after=last)
        return first is not None

    async def _step(self, replay_id: ReplayId, running: RunningReplay) -> bool:
        """Add a replay's next batch if there is room for one; return whether it moved on."""
        # Need not be durable: deliveries and cursor that a crash undoes are made again together.
        async with self._database.transaction(durable=False) as db:
            replay = await replay_steps.lock(db, replay_id)
            if replay is None or isinstance(replay.filter, UnusableFilter):
                running.pace.idle()
                return False
            outstanding = await replay_steps.outstanding(db, replay, since=running.since)
            batch, pending = await self._next_batch(db, replay, running.pace, outstanding)
            if batch.end is None:
                running.pace.idle()
                return False
            made = await replay_batches.make(db, replay, batch, pending)
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
    ) -> tuple[Batch, PendingAttempts]:
        """Read the batch that there is room for; complete a replay that has nothing left."""
        room = pace.room(
            outstanding,
            free=self._lanes.half_free(replay.webhook_id),
            slots=self._slots_of_each(),
            failing=replay.failing,
        )
        if room == 0:
            return EMPTY_BATCH, PendingAttempts()
        assert isinstance(replay.filter, ReplayFilter)
        max_read = DATA_READ_AT_ONCE if replay.filter.needs_data else MAX_READ
        candidates = await replay_steps.next_candidates(
            db, replay, limit=pace.to_read(room, max_read), kept_for=self._kept_for
        )
        if not candidates and outstanding.pending == 0:
            await _complete(db, replay)
        if self._copies.wait(replay.tenant_id, now=time.monotonic()):
            return EMPTY_BATCH, PendingAttempts()
        selected = await select_candidates(
            db, candidates, replay.filter, offload=self._offload, owner=replay.tenant_id
        )
        batch = next_batch(candidates, selected, most=room)
        pending = await replay_batches.lock_pending(db, replay, batch.ids)
        if pending.held:
            batch = next_batch(before(candidates, pending.held), selected, most=room)
        return batch, pending

    def _slots_of_each(self) -> int:
        """An equal part of the slots that all replays may hold together."""
        return max(1, int(self._lanes.slots * SLOT_SHARE) // len(self._running))


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
