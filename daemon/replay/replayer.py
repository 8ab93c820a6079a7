"""
The replayer: what is to be sent again is made bit by bit, in what room new events leave.

The replays are rows; every daemon takes part in all of them, one look at one replay a turn. What it
remembers of them, how fast each may go, is worth nothing when it dies.
"""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from daemon.core.matching.compiler import UnusableFilter
from daemon.core.matching.replay_filter import ReplayFilter
from daemon.core.model.ids import ReplayId
from daemon.core.scheduling.lanes import Lanes
from daemon.core.scheduling.replay_pace import (
    MOST_READ,
    NOTHING,
    SLOT_SHARE,
    Outstanding,
    Pace,
    Piece,
    piece_of,
)
from daemon.pipeline.lane_waker import LaneWaker
from daemon.replay.selection import select_candidates
from daemon.runtime.metrics import Metrics
from daemon.store import replay_steps
from daemon.store.database import Database
from daemon.store.replay_candidates import DATA_READ_AT_ONCE
from daemon.store.replay_steps import Job
from daemon.store.session import Connection

log = structlog.get_logger()

LISTED_EVERY_SECONDS = 1.0
MOST_AT_A_TIME = 100
# Between two turns that have made something: then others have the event loop and the database.
BREATH_SECONDS = 0.01
# One whose turn ends in a fault must not be the first again.
SET_ASIDE_SECONDS = 1.0


@dataclass(slots=True)
class Known:
    """What this daemon remembers of a replay: `since` is where what is outstanding begins."""

    look_at: float
    pace: Pace = field(default_factory=Pace)
    since: datetime | None = None


class Replayer:
    """The loop; it rings `bell` for each webhook that it has made deliveries for."""

    name = "replayer"

    def __init__(
        self, database: Database, lanes: Lanes, bell: LaneWaker, *, metrics: Metrics
    ) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._lanes = lanes
        self._bell = bell
        self._metrics = metrics
        self._known: dict[ReplayId, Known] = {}
        self._list_at = 0.0

    async def run_once(self) -> float:
        now = time.monotonic()
        if now >= self._list_at:
            await self._list(now)
        if not self._known:
            return LISTED_EVERY_SECONDS
        replay_id, known = min(self._known.items(), key=lambda each: each[1].look_at)
        if known.look_at > now:
            return min(known.look_at, self._list_at) - now
        known.look_at = now + SET_ASIDE_SECONDS
        made = await self._look(replay_id, known)
        known.look_at = time.monotonic() + known.pace.rest
        return BREATH_SECONDS if made else 0.0

    async def _list(self, now: float) -> None:
        async with self._database.connection() as db:
            running = await replay_steps.running(db, limit=MOST_AT_A_TIME)
        self._known = {each: self._known.get(each) or Known(now) for each in running}
        self._list_at = now + LISTED_EVERY_SECONDS

    async def _look(self, replay_id: ReplayId, known: Known) -> bool:
        """Make a replay's next piece, if there is room for one; whether there was."""
        # Need not be durable: what a crash undoes, its place with it, is made again.
        async with self._database.transaction(durable=False) as db:
            job = await replay_steps.lock(db, replay_id)
            if job is None or isinstance(job.choice, UnusableFilter):
                known.pace.waited()
                return False
            seen = await replay_steps.outstanding(db, job, since=known.since)
            piece = await self._next_piece(db, job, known, seen)
            if piece.reached is None:
                known.pace.waited()
                return False
            made = await replay_steps.make(db, job, piece)
        known.since = seen.oldest or made.due
        known.pace.made(piece)
        if made.count:
            self._metrics.pipeline.replayed_deliveries.inc(made.count)
            self._bell.announce(job.webhook_id, 0.0, made.due, failing=job.failing)
        return True

    async def _next_piece(self, db: Connection, job: Job, known: Known, seen: Outstanding) -> Piece:
        """What there is room for now; with the end of it all, the replay is completed."""
        room = known.pace.room(
            seen,
            free=self._lanes.half_free(job.webhook_id),
            slots=self._slots_of_each(),
            failing=job.failing,
        )
        if room == 0:
            return NOTHING
        assert isinstance(job.choice, ReplayFilter)
        most_read = DATA_READ_AT_ONCE if job.choice.needs_data else MOST_READ
        found = await replay_steps.next_candidates(
            db, job, limit=known.pace.to_read(room, most_read)
        )
        if not found and seen.pending == 0:
            await _complete(db, job)
        return piece_of(found, await select_candidates(db, found, job.choice), most=room)

    def _slots_of_each(self) -> int:
        """An equal part of what all replays may hold together."""
        return max(1, int(self._lanes.slots * SLOT_SHARE) // len(self._known))


async def _complete(db: Connection, job: Job) -> None:
    seen = await replay_steps.outstanding(db, job, since=None)
    if seen.pending:  # the clock was set back: some of it lies before where we looked
        return
    made, total = await replay_steps.complete(db, job)
    log.info(
        "replay.completed",
        replay_id=str(job.id),
        webhook_id=str(job.webhook_id),
        made=made,
        total=total,
    )
