"""Which of the rows that a step looks at are sent."""

from collections.abc import Sequence
from uuid import UUID

from daemon.core.matching.replay_filter import ReplayFilter
from daemon.core.model.ids import EventId
from daemon.core.scheduling.replay_pace import Candidate
from daemon.core.wire.json_value import parse_json
from daemon.store.event_log import data_of
from daemon.store.replay_candidates import DATA_READ_AT_ONCE
from daemon.store.session import Connection


async def select_candidates(
    db: Connection, candidates: Sequence[Candidate], choice: ReplayFilter
) -> set[UUID]:
    """The ids of those that are to be sent; data are read only where they decide."""
    fitting = [
        each.position.id
        for each in candidates
        if each.fits and choice.matches_type(each.event_type)
    ]
    if not choice.needs_data:
        return set(fitting)
    wanted: set[UUID] = set()
    for start in range(0, len(fitting), DATA_READ_AT_ONCE):
        some = [EventId(each) for each in fitting[start : start + DATA_READ_AT_ONCE]]
        data = await data_of(db, some)
        wanted |= {each for each, text in data.items() if choice.matches_data(parse_json(text))}
    return wanted
