"""How many deliveries a replay would make, counted page by page in short transactions."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial

from daemon.core.errors import UnusableFilterError
from daemon.core.matching.compiler import UnusableFilter
from daemon.core.matching.replay_filter import ReplayFilter
from daemon.core.model.cursor import Cursor, cursor_before
from daemon.core.model.replays import CountedReplay, ReplayRequest, ReplayScope, ReplaySource
from daemon.replay import selection
from daemon.store import replay_candidates, replays
from daemon.store.session import Connection

READ_AT_ONCE = 500


Turn = Callable[[], AbstractAsyncContextManager[Connection]]


async def count_replay(db: Connection, request: ReplayRequest) -> CountedReplay | None:
    """Count as `count_in_turns` does, on one connection that is in no transaction."""
    return await count_in_turns(partial(nullcontext, db), request)


async def count_in_turns(turn: Turn, request: ReplayRequest) -> CountedReplay | None:
    """
    Count what a replay would send, and change nothing.

    Each page is read in a `turn`, and in a transaction, of its own. Returns None if the tenant has
    no such webhook. Raises UnusableFilterError if the webhook's filter cannot be used.
    """
    async with turn() as db:
        found = await replays.scope_of(db, request)
    if found is None:
        return None
    scope, replay_filter = found
    if isinstance(replay_filter, UnusableFilter):
        raise UnusableFilterError(f"the webhook wants no event: {replay_filter.reason}")
    count_page = _count_page_by_data if replay_filter.needs_data else _count_page_by_type
    total = 0
    after: Cursor | None = cursor_before(scope.from_time)
    while after is not None:
        async with turn() as db, db.transaction():
            await replay_candidates.read_in_order(db)
            count, after = await count_page(db, scope, replay_filter, after)
        total += count
    return CountedReplay(scope, total)


async def _count_page_by_type(
    db: Connection, scope: ReplayScope, replay_filter: ReplayFilter, after: Cursor
) -> tuple[int, Cursor | None]:
    """Count a page by types alone; return the cursor of the next page, None after the last."""
    if scope.source is ReplaySource.EXHAUSTED:
        page = await replay_candidates.count_exhausted(
            db, scope.webhook_id, after=after, before=scope.to_time
        )
    else:
        page = await replay_candidates.count_events(
            db, scope.tenant_id, after=after, before=scope.to_time
        )
    matches = replay_filter.matches_type
    count = sum(count for event_type, count in page.by_type.items() if matches(event_type))
    return count, page.end


async def _count_page_by_data(
    db: Connection, scope: ReplayScope, replay_filter: ReplayFilter, after: Cursor
) -> tuple[int, Cursor | None]:
    """The same for a webhook that filters by data, which only events are matched against."""
    page = await replay_candidates.list_events(
        db, scope.tenant_id, after=after, before=scope.to_time, limit=READ_AT_ONCE
    )
    count = len(await selection.select_candidates(db, page, replay_filter))
    return count, page[-1].cursor if len(page) == READ_AT_ONCE else None
