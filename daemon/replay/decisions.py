"""
What running replays decide by data, read and compared ahead of the steps that use it.

The rule: a step, for which other tenants' replays wait, neither reads nor parses data. Each replay
does that in a task of its own, on few connections, and tenants have turns. Decisions hold for the
filter that made them, and for some seconds: data may be changed.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from uuid import UUID

from daemon.core.matching.replay_filter import ReplayFilter
from daemon.core.model.ids import ReplayId, TenantId
from daemon.replay.selection import decide_by_data
from daemon.runtime.turns import Turns
from daemon.store.database import Database
from daemon.store.event_data_reader import EventDataReader
from daemon.store.replay_steps import LockedReplay
from daemon.store.session import Connection

CONCURRENT_READS = 2
# One piece of a task begins no further large data after so long: the replay sends what it has.
READ_SECONDS = 0.25
KEPT_SECONDS = 10.0


@dataclass(slots=True)
class _Decided:
    """The decisions of one replay: whether an event is wanted, and until when that is known."""

    subscription_key: str
    wanted: dict[UUID, tuple[bool, float]] = field(default_factory=dict)


class Decisions:
    """The tasks, and what they decided; `on_made` is called after each."""

    def __init__(
        self, database: Database, reader: EventDataReader, *, on_made: Callable[[], None]
    ) -> None:
        self._database = database
        self._reader = reader
        self._on_made = on_made
        self._turns = Turns(CONCURRENT_READS)
        self._decided: dict[ReplayId, _Decided] = {}
        self._tasks: dict[ReplayId, asyncio.Task[None]] = {}

    def is_deciding(self, replay_id: ReplayId) -> bool:
        """Whether a task reads and compares data for this replay."""
        return replay_id in self._tasks and not self._tasks[replay_id].done()

    def take_result(self, replay_id: ReplayId) -> None:
        """Forget the replay's task if it has ended; raises the error that ended it."""
        task = self._tasks.get(replay_id)
        if task is not None and task.done():
            del self._tasks[replay_id]
            task.result()

    def of(self, replay: LockedReplay) -> dict[UUID, bool]:
        """Return what is decided for a replay: whether each of these events is wanted."""
        decided = self._decided.get(replay.id)
        if decided is None or decided.subscription_key != replay.subscription_key:
            return {}
        now = time.monotonic()
        return {each: wanted for each, (wanted, ends) in decided.wanted.items() if ends > now}

    def begin(
        self, replay: LockedReplay, replay_filter: ReplayFilter, undecided: Sequence[UUID]
    ) -> None:
        """Decide the first of these events at least, DATA_READ_AT_ONCE at most, in a task."""
        task = asyncio.create_task(self._decide(replay, replay_filter, undecided))
        self._tasks[replay.id] = task
        task.add_done_callback(self._ended)

    def keep(self, replay_ids: Collection[ReplayId]) -> None:
        """Forget all replays but these."""
        for each in self._tasks.keys() - set(replay_ids):
            self._tasks.pop(each).cancel()
        for each in self._decided.keys() - set(replay_ids):
            del self._decided[each]

    async def close(self) -> None:
        """End the tasks; nothing depends on what they would have decided."""
        tasks = list(self._tasks.values())
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()  # of a replay that is forgotten, nobody else asks for it
        self._on_made()

    async def _decide(
        self, replay: LockedReplay, replay_filter: ReplayFilter, undecided: Sequence[UUID]
    ) -> None:
        found = await decide_by_data(
            partial(self._connect, replay.tenant_id),
            undecided,
            replay_filter,
            reader=self._reader,
            owner=replay.tenant_id,
            seconds=READ_SECONDS,
        )
        now = time.monotonic()
        ends = now + KEPT_SECONDS  # from now on: its turn may have come later than that
        known = self._decided.get(replay.id)
        kept = {}
        if known is not None and known.subscription_key == replay.subscription_key:
            kept = {each: it for each, it in known.wanted.items() if it[1] > now}
        kept |= {each: (wanted, ends) for each, wanted in found.items()}
        self._decided[replay.id] = _Decided(replay.subscription_key, kept)

    @asynccontextmanager
    async def _connect(self, tenant_id: TenantId) -> AsyncIterator[Connection]:
        async with self._turns.of(tenant_id), self._database.connection() as db:
            yield db
