"""Attempts, in lists and in full."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import (
    Field,
)

from daemon.admin.schemas.base import Given, Taken
from daemon.admin.schemas.fields import Moment, PlaceTaken, Text
from daemon.admin.schemas.test_event import ReceivedResponse, SentRequest, Timing

# The last one is a part of `failed`.
DeliveryStatus = Literal["pending_retry", "success", "failed", "exhausted"]


class Delivery(Given):
    """One attempt."""

    id: UUID
    webhook_id: UUID
    event_id: UUID
    message_id: str
    """The event's id as the receiver knows it."""
    event_type: str
    status: str
    status_code: int | None
    attempt_number: int
    attempted_at: datetime | None
    next_retry_at: datetime | None
    duration_ms: int | None
    error_message: str | None
    replay_id: UUID | None
    exhausted: bool
    """Whether it was given up: it failed, no other follows, nothing of its event was delivered."""


class Deliveries(Given):
    """A page of attempts, newest first."""

    deliveries: list[Delivery]
    next: str | None
    """For `before`, when there may be more: a page that is narrowed can be short, even empty."""


class DeliveriesQuery(Taken):
    """Which attempts."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    status: DeliveryStatus | None = None
    """`pending_retry` is still to be made; `exhausted` are those of `failed` that were given up."""
    event_type: Annotated[Text, Field(max_length=100)] | None = None
    before: PlaceTaken | None = None
    """`next` of the page before, an attempt's id, or a time: only what is older."""
    from_: Annotated[Moment | None, Field(alias="from")] = None
    """A time, included."""
    to: Moment | None = None
    """A time, not included."""


class DeliveryInFull(Delivery):
    """One attempt with all that is kept of it."""

    signature: str | None
    timing: Timing
    request: SentRequest | None
    response: ReceivedResponse | None
    siblings: list[Delivery]
    """The other attempts for the same event and webhook."""


class RetryStarted(Given):
    """The attempt that is now due."""

    id: UUID
