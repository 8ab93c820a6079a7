"""Delivery attempts, in lists and in detail."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from daemon.admin.schemas.base import RequestModel, ResponseModel
from daemon.admin.schemas.cursor import CursorField
from daemon.admin.schemas.exchanges import ReceivedResponse, SentRequest, Timing
from daemon.admin.schemas.fields import Text
from daemon.admin.schemas.timestamps import Timestamp

# `exhausted` is a subset of `failed`.
DeliveryStatus = Literal["pending_retry", "success", "failed", "exhausted"]


class Delivery(ResponseModel):
    """One delivery attempt."""

    id: UUID
    webhook_id: UUID
    event_id: UUID
    message_id: str
    """The id of the event in the request that the receiver gets."""
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
    """True when the last attempt failed and the event was never delivered to the webhook."""


class DeliveryList(ResponseModel):
    """A page of delivery attempts, newest first."""

    deliveries: list[Delivery]
    next: str | None
    """
    The value of `before` for the next page; null on the last page. A filtered page may be short
    or empty although more pages follow.
    """


class DeliveriesQuery(RequestModel):
    """The attempts to list."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    status: DeliveryStatus | None = None
    """`pending_retry` is scheduled; `exhausted` are those `failed` that have no retries left."""
    event_type: Annotated[Text, Field(max_length=100)] | None = None
    before: CursorField | None = None
    """`next` of the previous page, the id of an attempt, or a time: older attempts only."""
    from_: Annotated[Timestamp | None, Field(alias="from")] = None
    """The start of the time range, inclusive."""
    to: Timestamp | None = None
    """The end of the time range, exclusive."""


class WebhookDeliveriesQuery(DeliveriesQuery):
    """The attempts of one webhook to list."""

    event_id: UUID | None = None
    """The event of which to list the attempts; it is the `eventId` of an attempt."""


class DeliverySearchQuery(DeliveriesQuery):
    """The attempts to find among those of all webhooks."""

    status_code: Annotated[int, Field(ge=0, le=999)] | None = None
    """The status of the receiver's response."""
    error: Annotated[Text, Field(max_length=200)] | None = None
    """Part of the error's sentence, in any case."""


class DeliverySearchPage(DeliveryList):
    """A page of delivery attempts of all webhooks, newest first."""

    looked_to: datetime | None
    """
    How far back the search has looked: a page is not read through all rows, and `next` goes on from
    here. Null when nothing is left.
    """


class DeliveryDetail(Delivery):
    """One delivery attempt with the stored request and response."""

    signature: str | None
    timing: Timing
    request: SentRequest | None
    response: ReceivedResponse | None
    siblings: list[Delivery]
    """The other attempts to deliver the same event to the same webhook."""


class RetryStarted(ResponseModel):
    """The attempt that is now due."""

    id: UUID
