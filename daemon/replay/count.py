"""
How many deliveries a replay would make, counted page by page in short transactions.

The rule: a turn, with its connection, is one page without data, or a read of the data of some
events: all that are small, or one that is large. Nothing is parsed in it.
"""

from collections import Counter
from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from uuid import UUID

from daemon.core.errors import UnusableFilterError
from daemon.core.matching.compiler import UnusableFilter
from daemon.core.matching.replay_filter import ReplayFilter
from daemon.core.model.cursor import Cursor, cursor_before
from daemon.core.model.replays import (
    CountedEvents,
    CountedReplay,
    EarlierDeliveries,
    ReplayRequest,
    ReplayScope,
    ReplaySource,
)
from daemon.replay import selection
from daemon.runtime.offload import Offload
from daemon.store import earlier_deliveries, replay_candidates, replays
from daemon.store.event_data_reader import EventDataReader
from daemon.store.session import Connect, Connection

READ_AT_ONCE = 500  # events of which data are read, or earlier deliveries looked up


async def count_replay(
    db: Connection, request: ReplayRequest, *, kept_for: timedelta, compare: bool = False
) -> CountedReplay | None:
    """Count as `count_in_turns` does, on one connection that is in no transaction."""
    turn, offload = partial(nullcontext, db), Offload()
    reader = EventDataReader(offload)
    try:
        return await count_in_turns(
            turn, request, reader=reader, kept_for=kept_for, compare=compare
        )
    finally:
        offload.close()


async def count_in_turns(
    turn: Connect,
    request: ReplayRequest,
    *,
    reader: EventDataReader,
    kept_for: timedelta,
    compare: bool = False,
) -> CountedReplay | None:
    """
    Count what a replay would send, and change nothing.

    What is read at once has a `turn` of its own. With `compare`, and for only
    what is undelivered, earlier deliveries are counted, too; they are `kept_for` so long. Returns
    None if the tenant has no such webhook. Raises UnusableFilterError if the webhook's filter
    cannot be used.
    """
    async with turn() as db:
        found = await replays.scope_of(db, request)
    if found is None:
        return None
    scope, replay_filter = found
    if isinstance(replay_filter, UnusableFilter):
        raise UnusableFilterError(f"the webhook wants no event: {replay_filter.reason}")
    compare = (compare or scope.only_undelivered) and scope.source is ReplaySource.EVENTS
    count = _Count(scope, replay_filter, reader, kept_for if compare else None)
    after: Cursor | None = cursor_before(scope.from_time)
    while after is not None:
        after = await count.add_page(turn, after)
    return count.result()


@dataclass(slots=True)
class _Count:
    """The counts so far; with `kept_for`, events are compared with earlier deliveries."""

    scope: ReplayScope
    filter: ReplayFilter
    reader: EventDataReader
    kept_for: timedelta | None
    events: CountedEvents = field(default_factory=CountedEvents)
    earlier: EarlierDeliveries = field(default_factory=EarlierDeliveries)

    async def add_page(self, turn: Connect, after: Cursor) -> Cursor | None:
        """Count a page; return the cursor of the next one, None after the last."""
        is_by_type = self.scope.source is ReplaySource.EXHAUSTED or not (
            self.filter.needs_data or self.kept_for is not None
        )
        return await (self._add_types(turn, after) if is_by_type else self._add_events(turn, after))

    async def _add_types(self, turn: Connect, after: Cursor) -> Cursor | None:
        scope = self.scope
        async with turn() as db, db.transaction():
            await replay_candidates.read_in_order(db)
            if scope.source is ReplaySource.EXHAUSTED:
                page = await replay_candidates.count_exhausted(
                    db,
                    scope.webhook_id,
                    after=after,
                    before=scope.to_time,
                    of_replay=scope.of_replay,
                )
            else:
                page = await replay_candidates.count_events(
                    db, scope.tenant_id, after=after, before=scope.to_time
                )
        self._add(page.by_type)
        return page.end

    async def _add_events(self, turn: Connect, after: Cursor) -> Cursor | None:
        scope = self.scope
        async with turn() as db, db.transaction():
            await replay_candidates.read_in_order(db)
            page = await replay_candidates.list_events(
                db, scope.tenant_id, after=after, before=scope.to_time, limit=READ_AT_ONCE
            )
        selected = await selection.select_candidates(
            turn, page, self.filter, reader=self.reader, owner=scope.tenant_id
        )
        self._add(Counter(each.event_type for each in page), selected)
        if selected and self.kept_for is not None:
            async with turn() as db, db.transaction():
                await replay_candidates.read_in_order(db)
                self.earlier += await earlier_deliveries.count(
                    db, scope.webhook_id, list(selected), kept_for=self.kept_for
                )
        return page[-1].cursor if len(page) == READ_AT_ONCE else None

    def _add(self, by_type: Counter[str], selected: Collection[UUID] | None = None) -> None:
        """Add the events of a page; without `selected` ones, their types alone decide."""
        asked = Counter({each: n for each, n in by_type.items() if self.filter.asks_for(each)})
        of_types = sum(n for each, n in asked.items() if self.filter.matches_type(each))
        self.events = CountedEvents(
            self.events.stored + by_type.total(),
            self.events.asked + asked.total(),
            self.events.of_types + of_types,
            self.events.matched + (of_types if selected is None else len(selected)),
        )

    def result(self) -> CountedReplay:
        """The counts of all pages."""
        unsubscribed = self.filter.unsubscribed(self.scope.event_types or ())
        events = replace(self.events, unsubscribed=unsubscribed)
        return CountedReplay(self.scope, events, None if self.kept_for is None else self.earlier)
