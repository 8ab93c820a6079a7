"""Explanations of events at webhooks, previews of filters, and undelivered events."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field

from daemon.admin.schemas.base import RequestModel, ResponseModel
from daemon.admin.schemas.cursor import CursorField
from daemon.admin.schemas.event_filters import EventFilters
from daemon.admin.schemas.fields import EventTypePatterns, Text
from daemon.admin.schemas.timestamps import Timestamp
from daemon.core.wire.event_ids import parse_event_id

PUBLIC_ID_PATTERN = r"^evt_[0-9a-f]{32}$"

Outcome = Literal[
    "delivered", "pending", "exhausted", "filtered", "not_subscribed", "paused", "created_later",
    "too_large", "unknown",
]  # fmt: skip


def _event_id(given: object) -> UUID:
    try:
        return parse_event_id(str(given))
    except ValueError:
        raise ValueError("must be an event's id: a UUID, or evt_… as receivers see it") from None


EventIdField = Annotated[
    Any,
    BeforeValidator(
        _event_id,
        json_schema_input_type=UUID
        | Annotated[str, Field(json_schema_extra={"pattern": PUBLIC_ID_PATTERN})],
    ),
]


class ExplainQuery(RequestModel):
    """The event to explain."""

    event_id: EventIdField
    """The event's id: a UUID, or `evt_…` as receivers see it."""


class Mismatch(ResponseModel):
    """Why a subscription did not match an event."""

    member: str
    """The member of the webhook that did not match, such as `eventTypes` or `filters`."""
    path: str | None
    """The path in the event's data; null for types."""
    found: list[Any] | None
    """The values there, at most 10; empty if there are none, null for types."""
    wanted: list[Any]
    """The values or types of which one would have matched, at most 10."""


class Pause(ResponseModel):
    """A pause of a webhook."""

    by: str
    """`person`, `failures`, or `gone`: the receiver answered 410."""
    from_: Annotated[datetime | None, Field(alias="from")]
    """Null if that is not stored."""
    to: datetime | None
    """When it was resumed; null if it still is paused."""


class PauseList(ResponseModel):
    """The pauses of a webhook, the latest first, as far as they are stored."""

    pauses: list[Pause]


class PendingAttempt(ResponseModel):
    """An attempt that is still to be made."""

    attempt_number: int
    waits_for: str
    """
    `schedule`, `turn` (it is due), `response` (it is under way), `probe` (the endpoint is failing,
    and its attempts are spaced out), `resume` (the webhook is paused), or `release` (an operator
    holds the tenant, or everything).
    """
    due_at: datetime | None
    """Null while the webhook is paused or held, and where no time is stored."""


class Explanation(ResponseModel):
    """The fate of an event at a webhook, and its reason."""

    event_id: UUID
    message_id: str
    """The id of the event in the requests that receivers get."""
    webhook_id: UUID
    received_at: datetime | None
    """When the event came in: what counts is how the webhook was set up then."""
    outcome: Outcome
    reason: str
    """One or two sentences for a person."""
    mismatch: Mismatch | None
    pause: Pause | None
    pending: PendingAttempt | None
    at: datetime | None
    """The time of the success, or of the last failed attempt."""
    error: str | None
    """Why the last attempt failed."""
    delivery_ids: list[UUID]
    """The attempts that tell, the latest first."""


class EventOutcomesQuery(RequestModel):
    """The page of webhooks at which an event is explained."""

    limit: Annotated[int, Field(ge=1, le=50)] = 25
    after: UUID | None = None
    """`next` of the previous page."""
    search: Annotated[Text, Field(max_length=255)] | None = None
    """A part of the webhook's name or URL, in any case."""


class EventOutcome(Explanation):
    """The fate of an event at one of the tenant's webhooks, and its reason."""

    webhook_name: str


class EventOutcomes(ResponseModel):
    """
    The fate of an event at a page of webhooks: first where all attempts failed, then where one
    is to come, where none is stored, and where it was delivered; each by name.
    """

    outcomes: list[EventOutcome]
    next: UUID | None
    """The value of `after` for the next page; null on the last page."""


class FilterPreviewRequest(RequestModel):
    """A subscription to compare with the latest events, as a webhook has it."""

    event_types: EventTypePatterns | None = None
    """Null or an empty list matches every type."""
    event_filters: EventFilters | None = None


class PreviewedEvent(ResponseModel):
    """One of the latest events, and whether it matches."""

    id: UUID
    message_id: str
    type: str
    created_at: datetime | None
    outcome: str
    """`matched`, `filtered` or `not_subscribed`."""
    reason: str | None
    """Why it does not match; null if it does."""
    mismatch: Mismatch | None


class FilterPreview(ResponseModel):
    """How many of the latest events a subscription matches."""

    looked: int
    """The number of events, from the latest on, at most 300."""
    matched: int
    skipped: int
    """Those among them that were not compared, because their data are large."""
    looked_up_to: datetime | None
    """The `createdAt` of the oldest one."""
    examples: list[PreviewedEvent]
    """Up to three of each outcome."""


class UndeliveredQuery(RequestModel):
    """The time range, by the events' `createdAt`, and the page."""

    from_: Annotated[Timestamp | None, Field(alias="from")] = None
    """The start, inclusive; by default 24 hours before the end."""
    to: Timestamp | None = None
    """The end, exclusive; by default the current time."""
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    before: CursorField | None = None
    """`next` of the previous page, the id of an event, or a time: older events only."""


class UndeliveredEvent(ResponseModel):
    """An event that ought to have been delivered, and was not."""

    id: UUID
    message_id: str
    type: str
    created_at: datetime
    outcome: Outcome
    reason: str


class UndeliveredEvents(ResponseModel):
    """A page of undelivered events, newest first, and how many there are in all."""

    from_: Annotated[datetime, Field(alias="from")]
    to: datetime
    events: list[UndeliveredEvent]
    next: str | None
    """
    The value of `before` for the next page; null on the last page. A page may be short or empty
    although more pages follow: a bounded number of events is looked at.
    """
    looked_up_to: datetime | None
    """The `createdAt` of the oldest event that was looked at; null at the end of the range."""
    total: int
    """The undelivered events of the whole range, as far as they are counted."""
    unknown: int
    """
    Events of which this is unknown: deliveries of their time are no longer kept, or a filter would
    have to compare large data.
    """
    complete: bool
    """Whether the whole range is counted. The count goes on in the background: ask again."""
    counted_up_to: datetime | None
    """The `createdAt` of the oldest event that is counted; null when the count is complete."""
