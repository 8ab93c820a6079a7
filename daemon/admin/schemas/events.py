"""Stored events and the event types."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from daemon.admin.schemas.base import RequestModel, ResponseModel
from daemon.admin.schemas.cursor import CursorField
from daemon.admin.schemas.deliveries import Delivery
from daemon.admin.schemas.fields import Text
from daemon.admin.schemas.timestamps import Timestamp


class Event(ResponseModel):
    """A stored event."""

    id: UUID
    message_id: str
    """The id of the event in the requests that receivers get."""
    type: str
    created_at: datetime | None


class EventList(ResponseModel):
    """A page of events, newest first."""

    events: list[Event]
    next: str | None
    """
    The value of `before` for the next page; null on the last page. A filtered page may be short
    or empty although more pages follow.
    """
    looked_to: datetime | None
    """How far back the events were looked at; null when none are left."""


class EventsQuery(RequestModel):
    """The events to list."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    event_type: Annotated[Text, Field(max_length=100)] | None = None
    type: Annotated[Text, Field(max_length=100)] | None = None
    """The same as `eventType`, which counts if both are given."""
    contact: Annotated[Text, Field(min_length=1, max_length=320)] | None = None
    """The id or the email address of a contact that the event's data name."""
    campaign: Annotated[Text, Field(min_length=1, max_length=255)] | None = None
    """The id of a campaign that the event's data name."""
    before: CursorField | None = None
    """`next` of the previous page, the id of an event, or a time: older events only."""
    from_: Annotated[Timestamp | None, Field(alias="from")] = None
    """The start of the time range, inclusive."""
    to: Timestamp | None = None
    """The end of the time range, exclusive."""


class EventDetail(Event):
    """An event with its data and every attempt to deliver it."""

    data: Any
    """Null when `dataCut` is true."""
    data_cut: bool
    """Whether the data is left out because it is larger than 1 MiB."""
    data_size: int
    """The length of the data's JSON text in characters."""
    deliveries: list[Delivery]


class TypeFacet(ResponseModel):
    """A type that events have."""

    name: str
    count: int


class CampaignFacet(ResponseModel):
    """A campaign that events name."""

    id: str
    name: str | None
    count: int


class ContactFacet(ResponseModel):
    """A contact that events name, by its id, its address, or both."""

    id: str | None
    address: str | None
    count: int


class EventFacets(ResponseModel):
    """Values in recent events, with the number of events; at most 50 of each kind."""

    types: list[TypeFacet]
    campaigns: list[CampaignFacet]
    contacts: list[ContactFacet]
    looked: int
    """How many of the newest events were looked at: up to 2,000, fewer if they are large."""


class EventField(ResponseModel):
    """A field of recent events."""

    path: str
    """The dotted path, as filters name it."""
    count: int
    """How many events have it."""
    values: list[Any]
    """Up to five of its values, the most frequent first; long texts are left out."""


class EventFieldList(ResponseModel):
    """The fields that most of the newest events have, at most 100."""

    fields: list[EventField]
    looked: int
    """How many of the newest events were looked at: up to 100."""


class EventType(ResponseModel):
    """One of the 13 event types, or of the operational ones."""

    name: str
    description: str
    fields: list[str]
    sample: Any
    json_schema: dict[str, Any]
    """The JSON Schema (2020-12) of the data. Receivers should accept members that it lacks."""
    operational: bool
    """Whether only webhooks of the scopes `account` and `operator` get such events."""


class EventTypeList(ResponseModel):
    """All event types."""

    event_types: list[EventType]
