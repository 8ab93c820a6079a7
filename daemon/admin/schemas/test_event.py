"""Test events: what may be asked for, and what came of it."""

from typing import Annotated, Literal

from pydantic import (
    Field,
)

from daemon.admin.schemas.base import Given, Taken
from daemon.admin.schemas.fields import Text

EventTypeName = Literal[
    "email.sent", "email.delivered", "email.opened", "email.clicked", "email.bounced",
    "email.spam_reported", "email.unsubscribed", "campaign.launched", "campaign.completed",
    "campaign.paused", "contact.created", "contact.updated", "contact.unsubscribed",
]  # fmt: skip


class TestEvent(Taken):
    """Which event to send; without a campaign or contact the latest of that type, else a sample."""

    __test__ = False  # no test of ours

    event_type: EventTypeName = "email.opened"
    campaign_id: Annotated[Text, Field(max_length=255)] | None = None
    contact_id: Annotated[Text, Field(max_length=320)] | None = None
    sample: bool = False
    """Send sample data, whatever is stored."""


class Timing(Given):
    """Where the time went, in milliseconds; null for a stage that there was not."""

    lookup_ms: int | None
    connect_ms: int | None
    tls_ms: int | None
    answer_ms: int | None
    total_ms: int | None


class SentRequest(Given):
    """A request as it was sent, but for values that are secret."""

    url: str
    """Up to its query."""
    headers: dict[str, str]
    body: str
    """Its first 256 KiB, when it is larger."""
    body_cut: bool
    body_size: int
    """How many bytes were sent."""
    curl: str | None
    """The same request as a command; null when the body is cut."""


class ReceivedResponse(Given):
    """An answer as it is kept."""

    status_code: int
    headers: dict[str, str]
    body: str | None


class TestResult(Given):
    """What came of a test that the receiver took."""

    __test__ = False

    success: Literal[True]
    event_id: str
    event_type: str
    data_from: Literal["event", "sample"]
    status_code: int
    duration_ms: int
    timing: Timing
    request: SentRequest | None
    response: ReceivedResponse
