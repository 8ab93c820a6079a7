"""
Which candidates of a replay its filter selects.

The rule: a connection is borrowed for each read of data, not while they are waited for, parsed or
compared; of large data, one event's are read at a time.
"""

import time
from collections.abc import Sequence
from math import inf
from uuid import UUID

from daemon.core.matching.replay_filter import ReplayFilter
from daemon.core.model.ids import EventId, TenantId
from daemon.core.scheduling.replay_pace import Candidate
from daemon.runtime.time_slice import TimeSlice
from daemon.store.event_data_reader import EventDataReader
from daemon.store.replay_candidates import DATA_READ_AT_ONCE
from daemon.store.session import Connect


def select_by_type(candidates: Sequence[Candidate], replay_filter: ReplayFilter) -> list[UUID]:
    """Return the ids of the candidates to send, as far as their types decide, in their order."""
    return [
        candidate.cursor.id
        for candidate in candidates
        if candidate.eligible and replay_filter.matches_type(candidate.event_type)
    ]


async def select_candidates(
    connect: Connect,
    candidates: Sequence[Candidate],
    replay_filter: ReplayFilter,
    *,
    reader: EventDataReader,
    owner: TenantId,
) -> set[UUID]:
    """Return the ids of the candidates to send; data are read only where they decide."""
    by_type = select_by_type(candidates, replay_filter)
    if not replay_filter.needs_data:
        return set(by_type)
    selected: set[UUID] = set()
    for start in range(0, len(by_type), DATA_READ_AT_ONCE):
        page = by_type[start : start + DATA_READ_AT_ONCE]
        decided = await decide_by_data(connect, page, replay_filter, reader=reader, owner=owner)
        selected.update(each for each, is_wanted in decided.items() if is_wanted)
    return selected


async def decide_by_data(
    connect: Connect,
    ids: Sequence[UUID],
    replay_filter: ReplayFilter,
    *,
    reader: EventDataReader,
    owner: TenantId,
    seconds: float = inf,
) -> dict[UUID, bool]:
    """
    Return whether the data of these events, DATA_READ_AT_ONCE at most, match.

    After so many `seconds` no other large data are begun: then the last ones of the events with
    large data are missing, but not the first.
    """
    ends = time.monotonic() + seconds
    time_slice = TimeSlice(patient=True)
    decided: dict[UUID, bool] = {}
    async with reader.small(connect, owner, [EventId(each) for each in ids]) as texts:
        for small_id, text in texts.items():
            data = await reader.parse(text, owner=owner)
            decided[small_id] = await time_slice.run(replay_filter.decide(data))
    large = [each for each in ids if each not in decided]
    for event_id in large:
        if event_id != large[0] and time.monotonic() >= ends:
            break
        async with reader.large(connect, owner, EventId(event_id)) as lent:
            decided[event_id] = lent is not None and await time_slice.run(
                replay_filter.decide(lent.data)
            )
    return decided
