"""How many events or deliveries a replay would send."""

from daemon.core.errors import UnusableFilterError
from daemon.core.matching.compiler import UnusableFilter
from daemon.core.matching.replay_filter import ReplayFilter, replay_filter_for
from daemon.core.model.ids import TenantId
from daemon.core.model.replays import Bounded, CountedReplay, ReplayRequest, ReplaySource
from daemon.core.scheduling.replay_pace import LAST_ID, MOMENT, Position
from daemon.replay import selection
from daemon.store import replay_candidates
from daemon.store.replays import BOUND
from daemon.store.session import Connection

READ_AT_ONCE = 500


async def count_replay(db: Connection, wanted: ReplayRequest) -> CountedReplay | None:
    """
    Count what a replay would send, and change nothing; None: the tenant has no such webhook.

    Call outside a transaction: it takes many short ones for a webhook that filters by data. Raises
    UnusableFilterError.
    """
    row = await db.fetchrow(
        BOUND, wanted.webhook_id, wanted.tenant_id, wanted.from_time, wanted.to_time
    )
    if row is None:
        return None
    choice = replay_filter_for(
        wanted.source, wanted.event_types, row["event_types"], row["event_filters"]
    )
    if isinstance(choice, UnusableFilter):
        raise UnusableFilterError(f"the webhook wants no event: {choice.reason}")
    bounded = Bounded(
        TenantId(row["tenant_id"]),
        wanted.webhook_id,
        wanted.source,
        row["from_time"],
        row["to_time"],
        wanted.event_types,
    )
    return CountedReplay(bounded, await _count(db, bounded, choice))


async def _count(db: Connection, wanted: Bounded, choice: ReplayFilter) -> int:
    count_page = _count_by_data if choice.needs_data else _count_by_type
    total = 0
    after: Position | None = Position(wanted.from_time - MOMENT, LAST_ID)
    while after is not None:
        count, after = await count_page(db, wanted, choice, after)
        total += count
    return total


async def _count_by_type(
    db: Connection, wanted: Bounded, choice: ReplayFilter, after: Position
) -> tuple[int, Position | None]:
    """How many of a page are wanted, and behind what the next one begins."""
    before = wanted.to_time
    async with db.transaction():
        await replay_candidates.read_in_order(db)
        if wanted.source is ReplaySource.EXHAUSTED:
            page = await replay_candidates.count_exhausted(
                db, wanted.webhook_id, after=after, before=before
            )
        else:
            page = await replay_candidates.count_events(
                db, wanted.tenant_id, after=after, before=before
            )
    count = sum(count for each, count in page.by_type.items() if choice.matches_type(each))
    return count, page.end


async def _count_by_data(
    db: Connection, wanted: Bounded, choice: ReplayFilter, after: Position
) -> tuple[int, Position | None]:
    async with db.transaction():
        await replay_candidates.read_in_order(db)
        page = await replay_candidates.events(
            db, wanted.tenant_id, after=after, before=wanted.to_time, limit=READ_AT_ONCE
        )
    count = len(await selection.select_candidates(db, page, choice))
    return count, page[-1].position if len(page) == READ_AT_ONCE else None
