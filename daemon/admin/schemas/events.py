"""Stored events, and the types of them that there are."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    Field,
)

from daemon.admin.schemas.base import Given, Taken
from daemon.admin.schemas.deliveries import Delivery
from daemon.admin.schemas.fields import Moment, PlaceTaken, Text


class Event(Given):
    """A stored event."""

    id: UUID
    message_id: str
    """As its receivers know it."""
    type: str
    created_at: datetime | None


class Events(Given):
    """A page of events, newest first."""

    events: list[Event]
    next: str | None


class EventsQuery(Taken):
    """Which events."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    type: Annotated[Text, Field(max_length=100)] | None = None
    before: PlaceTaken | None = None
    from_: Annotated[Moment | None, Field(alias="from")] = None
    """A time, included."""
    to: Moment | None = None
    """A time, not included."""


class EventInFull(Event):
    """An event, its data, and every attempt to deliver it."""

    data: Any
    """Null when `dataCut`."""
    data_cut: bool
    """Whether there is more of it than is shown, which is 1 MiB."""
    data_size: int
    """Of its JSON text, in characters."""
    deliveries: list[Delivery]


class EventType(Given):
    """One of the 13 types."""

    name: str
    description: str
    fields: list[str]
    sample: Any


class EventTypes(Given):
    """All types."""

    event_types: list[EventType]
