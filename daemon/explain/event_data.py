"""Stored data of events as matchers see them, within bounds of size."""

from collections.abc import AsyncIterator, Sequence

from daemon.core.matching.event_data import EventData
from daemon.core.model.ids import EventId
from daemon.core.wire.body_size import MATCHED_BYTES
from daemon.core.wire.json_value import parse_json
from daemon.runtime.time_slice import TimeSlice
from daemon.store.session import Connection
from daemon.store.stored_events import readable_data


async def data_of(db: Connection, event_id: EventId) -> EventData | None:
    """Read the data of one event; None if they are larger than fan-out compares."""
    async for _, data in each_data(db, [event_id], most_bytes=MATCHED_BYTES):
        return data
    return None


async def each_data(
    db: Connection, events: Sequence[EventId], *, most_bytes: int
) -> AsyncIterator[tuple[EventId, EventData]]:
    """Yield the data of those of these events that print at most `most_bytes`."""
    time_slice = TimeSlice(patient=True)
    async for event_id, text in readable_data(db, events, most_bytes=most_bytes):
        yield event_id, EventData(parse_json(text))
        await time_slice.yield_if_used()
