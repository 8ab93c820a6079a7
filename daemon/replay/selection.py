"""Which candidates of a replay its filter selects."""

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from daemon.core.matching.replay_filter import ReplayFilter
from daemon.core.model.ids import EventId, TenantId
from daemon.core.scheduling.replay_pace import Candidate
from daemon.core.wire.body_size import MATCHED_BYTES
from daemon.core.wire.json_value import parse_matched
from daemon.runtime.offload import Offload
from daemon.runtime.time_slice import TimeSlice
from daemon.store.replay_candidates import DATA_READ_AT_ONCE
from daemon.store.session import Connection
from daemon.store.stored_events import readable_data


async def select_candidates(
    db: Connection,
    candidates: Sequence[Candidate],
    replay_filter: ReplayFilter,
    *,
    offload: Offload,
    owner: TenantId,
) -> set[UUID]:
    """
    Return the ids of the candidates to send; data are read only where they decide.

    Large data are parsed in the thread of `offload`, in the turn of their `owner`.
    """
    by_type = [
        candidate.cursor.id
        for candidate in candidates
        if candidate.eligible and replay_filter.matches_type(candidate.event_type)
    ]
    if not replay_filter.needs_data:
        return set(by_type)
    selected: set[UUID] = set()
    time_slice = TimeSlice(patient=True)
    for start in range(0, len(by_type), DATA_READ_AT_ONCE):
        page = [EventId(each) for each in by_type[start : start + DATA_READ_AT_ONCE]]
        async for event_id, text in readable_data(db, page, most_bytes=MATCHED_BYTES):
            data = await offload.run(
                partial(parse_matched, text), size=len(text or ""), owner=owner
            )
            if await time_slice.run(replay_filter.decide(data)):
                selected.add(event_id)
    return selected
