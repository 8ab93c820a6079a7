"""
The fields of a tenant's latest events, to pick the paths and values of filters from.

Bounded in events, bytes and time: large data are skipped.
"""

import time
from collections import Counter
from dataclasses import dataclass, field

from daemon.core.matching.field_paths import fields_in
from daemon.core.model.cursor import Cursor
from daemon.core.model.ids import TenantId
from daemon.core.wire.json_value import parse_json
from daemon.store import stored_events
from daemon.store.database import Database
from daemon.store.listing import ListFilter

MOST_EVENTS = 100
READ_AT_ONCE = 25
MOST_SECONDS = 0.05
MOST_FIELDS = 100
MOST_VALUES = 5  # of each field
LONGEST_VALUE = 80  # characters; what is longer is not worth picking


@dataclass(frozen=True, slots=True)
class EventField:
    """A path that `count` of the events have, with some of its values, the most frequent first."""

    path: str
    count: int
    values: list[str | float | bool | None]


@dataclass(frozen=True, slots=True)
class EventFields:
    """The fields that most of the `looked` latest events have, at most MOST_FIELDS."""

    fields: list[EventField]
    looked: int


async def find_fields(database: Database, tenant_id: TenantId) -> EventFields:
    """Look at the newest events of a tenant."""
    async with database.connection() as db:
        latest, _ = await stored_events.list_events(
            db, tenant_id, ListFilter(), before=Cursor(), limit=MOST_EVENTS
        )
    found, looked = _Found(), 0
    ends = time.monotonic() + MOST_SECONDS
    for start in range(0, len(latest), READ_AT_ONCE):
        if start and time.monotonic() > ends:
            break
        events = latest[start : start + READ_AT_ONCE]
        async with database.connection() as db:
            texts = await stored_events.quick_data(db, [each.id for each in events])
        for text in texts.values():
            found.add(parse_json(text))
        looked += len(events)
    return EventFields(found.most_common(), looked)


@dataclass(slots=True)
class _Found:
    events: Counter[str] = field(default_factory=Counter)
    values: dict[str, Counter[str | float | bool | None]] = field(default_factory=dict)

    def add(self, data: object) -> None:
        """Count the fields of one event, each once."""
        pairs = list(fields_in(data))
        self.events.update({path for path, _ in pairs})
        for path, value in pairs:
            if not isinstance(value, str) or len(value) <= LONGEST_VALUE:
                self.values.setdefault(path, Counter())[value] += 1

    def most_common(self) -> list[EventField]:
        """The fields that most events have; equal ones by name."""
        ranked = sorted(self.events.items(), key=lambda each: (-each[1], each[0]))
        return [
            EventField(path, count, self._values_of(path)) for path, count in ranked[:MOST_FIELDS]
        ]

    def _values_of(self, path: str) -> list[str | float | bool | None]:
        return [value for value, _ in self.values.get(path, Counter()).most_common(MOST_VALUES)]
