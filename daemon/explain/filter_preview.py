"""
Which of a tenant's latest events a subscription would match, and why not the others.

Bounded in events, bytes and time: large data are skipped and counted, not compared.
"""

import time
from collections import Counter
from dataclasses import dataclass

from daemon.core.explanations.settings import subscription_refusal
from daemon.core.matching.event_data import EventData
from daemon.core.matching.matcher import Matcher
from daemon.core.model.cursor import Cursor
from daemon.core.model.explanations import Explanation
from daemon.core.model.ids import EventId, TenantId
from daemon.core.wire.json_value import parse_json
from daemon.runtime.time_slice import TimeSlice
from daemon.store import stored_events
from daemon.store.database import Database
from daemon.store.listing import ListFilter
from daemon.store.stored_events import EventEntry

MOST_EVENTS = 300
READ_AT_ONCE = 25
MOST_SECONDS = 0.1
MOST_EXAMPLES = 3  # of each kind


@dataclass(frozen=True, slots=True)
class PreviewedEvent:
    """One of the events; `refusal` says why it would not be delivered, None if it would."""

    event: EventEntry
    refusal: Explanation | None


@dataclass(frozen=True, slots=True)
class FilterPreview:
    """How many of the `looked` latest events match; `skipped` were too large to be compared."""

    looked: int
    matched: int
    skipped: int
    oldest: EventEntry | None
    examples: list[PreviewedEvent]


async def preview_filter(
    database: Database, tenant_id: TenantId, matcher: Matcher
) -> FilterPreview:
    """Compare a subscription with the tenant's latest events."""
    async with database.connection() as db:
        latest, _ = await stored_events.list_events(
            db, tenant_id, ListFilter(), before=Cursor(), limit=MOST_EVENTS
        )
    preview = _Preview(matcher)
    ends = time.monotonic() + MOST_SECONDS
    for start in range(0, len(latest), READ_AT_ONCE):
        if start and time.monotonic() > ends:
            break
        events = latest[start : start + READ_AT_ONCE]
        async with database.connection() as db:
            texts = await stored_events.quick_data(db, preview.needing_data(events))
        for event in events:
            await preview.add(event, texts)
    return preview.result()


class _Preview:
    """Counts events as they are compared, and keeps the first of each kind."""

    def __init__(self, matcher: Matcher) -> None:
        self._matcher = matcher
        self._kinds: Counter[str] = Counter()
        self._examples: list[PreviewedEvent] = []
        self._oldest: EventEntry | None = None
        self._time_slice = TimeSlice(patient=True)

    def needing_data(self, events: list[EventEntry]) -> list[EventId]:
        """Those of the events of which the type does not decide."""
        return [each.id for each in events if self._needs_data(each)]

    async def add(self, event: EventEntry, texts: dict[EventId, str | None]) -> None:
        """Compare an event; `texts` have the data of those that need them, unless too large."""
        self._oldest = event
        needs_data = self._needs_data(event)
        if needs_data and event.id not in texts:
            self._kinds["skipped"] += 1
            return
        data = EventData(parse_json(texts[event.id])) if needs_data else None
        steps = subscription_refusal(self._matcher, event.type, data)
        refusal = await self._time_slice.run(steps)
        kind = "matched" if refusal is None else refusal.outcome.value
        self._kinds[kind] += 1
        if self._kinds[kind] <= MOST_EXAMPLES:
            self._examples.append(PreviewedEvent(event, refusal))

    def result(self) -> FilterPreview:
        """The events found."""
        return FilterPreview(
            looked=self._kinds.total(),
            matched=self._kinds["matched"],
            skipped=self._kinds["skipped"],
            oldest=self._oldest,
            examples=self._examples,
        )

    def _needs_data(self, event: EventEntry) -> bool:
        return self._matcher.needs_data and self._matcher.matches_type(event.type)
