"""
The rows of a webhook's deliveries: one for each event, with its attempts as dots.

The rule: a row keeps its place while its event is attempted again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

PENDING = "pending_retry"


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """The attempts of one event, as the API shows them, by their numbers; those that are known."""

    attempts: Sequence[Any]

    @property
    def latest(self) -> Any:
        """The last attempt."""
        return self.attempts[-1]

    @property
    def event_id(self) -> UUID:
        """The event."""
        event_id: UUID = self.latest.event_id
        return event_id

    @property
    def begins_later(self) -> bool:
        """Whether earlier attempts are not among these."""
        return bool(self.attempts[0].attempt_number > 1)

    @property
    def tag(self) -> str:
        """The event and its latest attempt, as `read_tags` reads them."""
        latest = self.latest
        return f"{self.event_id.hex}.{latest.attempt_number}{latest.status[:1]}"


def rows_of(attempts: Iterable[Any]) -> list[DeliveryRow]:
    """Group attempts, the newest first, by event; an event stands where its newest attempt does."""
    by_event: dict[UUID, list[Any]] = {}
    for each in attempts:
        by_event.setdefault(each.event_id, []).append(each)
    return [
        DeliveryRow(sorted(each, key=lambda attempt: int(attempt.attempt_number)))
        for each in by_event.values()
    ]
