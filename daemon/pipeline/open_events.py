"""
Events of which first attempts are being made: each stays in the inbox until its last result.

The rule: an event is nowhere but in the inbox while this daemon has its attempts in memory. When
the process is killed, the event is found there again, and only webhooks without a row get it.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from daemon.core.model.ids import DeliveryId, EventId, WebhookId
from daemon.store.leased_events import LeasedEvent

Row: TypeAlias = tuple[EventId, WebhookId | None]  # of the inbox


@dataclass(slots=True, eq=False)
class OpenEvent:
    """A leased event, how many of its webhooks have no row yet, and since when it has its lease."""

    leased: LeasedEvent
    row: Row
    unsettled: int
    leased_at: float  # by the monotonic clock


class OpenEvents:
    """
    The open events by their attempts.

    A transaction that changes rows of open events runs under `writing`, from before it begins until
    after `settle`: of two that each store some of an event's results, one must know that it stores
    the last.
    """

    def __init__(self) -> None:
        self.writing = asyncio.Lock()
        self._by_attempt: dict[DeliveryId, OpenEvent] = {}
        self._by_row: dict[Row, OpenEvent] = {}

    @property
    def event_ids(self) -> Iterator[EventId]:
        """The events that are open."""
        return (event_id for event_id, _ in self._by_row)

    def open(self, leased: LeasedEvent, attempts: Iterable[DeliveryId]) -> None:
        """Add an event with its attempts."""
        row = _row(leased)
        event = self._by_row[row] = OpenEvent(leased, row, 0, time.monotonic())
        for each in attempts:
            self._by_attempt[each] = event
            event.unsettled += 1

    def of(self, attempt: DeliveryId) -> OpenEvent:
        """The event of an attempt that is neither settled nor abandoned."""
        return self._by_attempt[attempt]

    def is_open(self, attempt: DeliveryId) -> bool:
        """Whether the attempt is neither settled nor abandoned."""
        return attempt in self._by_attempt

    def renew(self, leased: LeasedEvent) -> bool:
        """Note the new lease of an event; False if it is not open."""
        event = self._by_row.get(_row(leased))
        if event is None:
            return False
        event.leased, event.leased_at = leased, time.monotonic()
        return True

    def leased_before(self, at: float) -> list[OpenEvent]:
        """The events whose leases began before this time."""
        return [each for each in self._by_row.values() if each.leased_at < at]

    def has(self, leased: LeasedEvent) -> bool:
        """Whether this event is open."""
        return _row(leased) in self._by_row

    def settle(self, attempts: Iterable[DeliveryId]) -> None:
        """Note attempts that have their rows, or that are dropped for good."""
        for each in attempts:
            event = self._by_attempt.pop(each)
            event.unsettled -= 1
            if event.unsettled == 0 and self._by_row.get(event.row) is event:
                del self._by_row[event.row]

    def rename(self, attempt: DeliveryId, new: DeliveryId) -> None:
        """Give an attempt another id: the receiver may know this one, and make a row with it."""
        self._by_attempt[new] = self._by_attempt.pop(attempt)

    def abandon(self, attempt: DeliveryId) -> None:
        """Leave an attempt to the next lease of its event, once this one has lapsed."""
        event = self._by_attempt.pop(attempt)
        if self._by_row.get(event.row) is event:
            del self._by_row[event.row]


def _row(leased: LeasedEvent) -> Row:
    return leased.event.id, leased.event.only
