"""
Changes that an open list of deliveries does not show yet: new events, changed rows.

A list names what it shows by tags: an event's id as 32 hexadecimal digits, a dot, and its latest
attempt as its number and the first letter of its status.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from daemon.core.model.ids import EventId
from daemon.store.live_deliveries import RecentAttempt

TAG = re.compile(r"([0-9a-f]{32})\.([0-9]{1,10})([a-z])")
WAITING = "p"
MOST_SHOWN = 200
MOST_NEW = 100


@dataclass(frozen=True, slots=True)
class LiveFilter:
    """The attempts that belong to the list; None selects all. `since` is inclusive."""

    type: str | None = None
    status: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def selects(self, attempt: RecentAttempt) -> bool:
        """Whether an attempt belongs to the list; whether it is exhausted is not asked."""
        status = "failed" if self.status == "exhausted" else self.status
        return (
            self.type in (None, attempt.event_type)
            and status in (None, attempt.status)
            and (self.since is None or attempt.attempted_at >= self.since)
            and (self.until is None or attempt.attempted_at < self.until)
        )


@dataclass(slots=True)
class LiveView:
    """
    One open list: `shown` has the number and the letter of the latest attempt of each event.

    Deliveries that began before `begins` are too old for the list.
    """

    shown: dict[EventId, tuple[int, str]]
    selected: LiveFilter
    begins: datetime
    new: set[EventId] = field(default_factory=set)

    @property
    def watched(self) -> list[EventId]:
        """The events of which an attempt waits: they change without being among the newest."""
        return [each for each, (_, letter) in self.shown.items() if letter == WAITING]

    def see(self, attempts: Iterable[RecentAttempt]) -> list[EventId]:
        """Compare with the present attempts; returns the events whose rows have changed."""
        latest: dict[EventId, tuple[int, str]] = {}
        for each in attempts:
            if each.event_id in self.shown:
                now = (each.attempt_number, each.status[:1])
                latest[each.event_id] = max(latest.get(each.event_id, now), now)
            elif (
                len(self.new) < MOST_NEW
                and each.attempted_at >= self.begins
                and self.selected.selects(each)
            ):
                self.new.add(each.event_id)
        changed = [
            event_id
            for event_id, now in latest.items()
            if now != self.shown[event_id] and now[0] >= self.shown[event_id][0]
        ]
        self.shown |= {event_id: latest[event_id] for event_id in changed}
        return changed


def read_tags(text: str) -> dict[EventId, tuple[int, str]]:
    """The rows that a list says it shows; anything else is skipped."""
    found = [TAG.fullmatch(each) for each in text.split()[:MOST_SHOWN]]
    return {EventId(UUID(hex=each[1])): (int(each[2]), each[3]) for each in found if each}
