"""Test events: the event to send, and the result."""

from typing import Annotated, Literal

from pydantic import Field

from daemon.admin.schemas.base import RequestModel, ResponseModel
from daemon.admin.schemas.exchanges import ReceivedResponse, SentRequest, Timing
from daemon.admin.schemas.explanations import EventIdField
from daemon.admin.schemas.fields import Text
from daemon.core.event_types import EVENT_TYPE_NAMES
from daemon.core.operational_event_types import OPERATIONAL_TYPE_NAMES


class TestEventRequest(RequestModel):
    """The event to send: the latest stored one that matches, or sample data if there is none."""

    __test__ = False  # not a pytest class

    event_type: Annotated[
        Text,
        Field(
            min_length=1,
            max_length=100,
            examples=[*EVENT_TYPE_NAMES, *OPERATIONAL_TYPE_NAMES],
        ),
    ] = "email.opened"
    """
    Any type, as any is delivered; if absent, `webhook.failing` for a webhook that gets operational
    events. The sample data of other types than those of `GET /api/event-types` are
    `{"sample": true}`.
    """
    campaign_id: Annotated[Text, Field(max_length=255)] | None = None
    contact_id: Annotated[Text, Field(max_length=320)] | None = None
    sample: bool = False
    """Send sample data even if a stored event matches."""
    event_id: EventIdField | None = None
    """The stored event whose type and data to send; no other member goes with it."""


class TestEventResult(ResponseModel):
    """The result of a test event that the receiver accepted."""

    __test__ = False

    success: Literal[True]
    event_id: str
    event_type: str
    data_from: Literal["event", "sample"]
    note: str | None
    """Why the data are a sample, or little is known of the type: a sentence; null if not."""
    status_code: int
    duration_ms: int
    timing: Timing
    request: SentRequest | None
    response: ReceivedResponse


class FailedTestEvent(ResponseModel):
    """The members that a problem document has for a test event that was not delivered."""

    success: Literal[False]
    event_id: str
    event_type: str
    data_from: Literal["event", "sample"]
    note: str | None
    """Why the data are a sample, or little is known of the type: a sentence; null if not."""
    status_code: int | None
    duration_ms: int
    timing: Timing
    request: SentRequest | None
    response: ReceivedResponse | None
