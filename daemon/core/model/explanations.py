"""What became of an event at a webhook, and the stored facts that tell."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum, auto

from daemon.core.matching.mismatch import Mismatch
from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.core.model.operational_events import WebhookScope


class Outcome(StrEnum):
    """What became of an event at a webhook (contract, section 7)."""

    DELIVERED = "delivered"
    PENDING = "pending"
    EXHAUSTED = "exhausted"
    FILTERED = "filtered"
    NOT_SUBSCRIBED = "not_subscribed"
    PAUSED = "paused"
    CREATED_LATER = "created_later"
    TOO_LARGE = "too_large"
    UNKNOWN = "unknown"


class WaitsFor(StrEnum):
    """What a pending attempt waits for."""

    SCHEDULE = "schedule"  # its time has not come
    TURN = "turn"  # it is due
    RESPONSE = "response"  # it is under way
    PROBE = "probe"  # the endpoint is failing, and its attempts are spaced out
    RESUME = "resume"  # the webhook is paused
    RELEASE = "release"  # an operator holds the tenant, or everything


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause `by` a `person`, `failures` or 410 `gone`; a time of None is unknown, or to come."""

    by: str
    since: datetime | None
    until: datetime | None


@dataclass(frozen=True, slots=True)
class PendingAttempt:
    """An attempt to be made; `due_at` is None while the webhook is paused, or unknown."""

    number: int
    waits_for: WaitsFor
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """
    What became of an event at a webhook, and why, as one or two sentences for a customer.

    `since` is the time of the success, or of the last failed attempt; `deliveries` are the attempts
    that tell.
    """

    outcome: Outcome
    reason: str
    mismatch: Mismatch | None = None
    pause: Pause | None = None
    pending: PendingAttempt | None = None
    since: datetime | None = None
    error: str | None = None
    deliveries: tuple[DeliveryId, ...] = ()


@dataclass(frozen=True, slots=True)
class WebhookVersion:
    """
    What a webhook was from `since` until `until`; `event_filters` is JSON text.

    A `since` of None is a time that was not recorded; an `until` of None is now. `deleted` says
    that the webhook was deleted at `until`.
    """

    since: datetime | None
    until: datetime | None
    is_active: bool
    paused_reason: str | None
    event_types: tuple[str, ...] | None
    event_filters: str | None
    deleted: bool = False

    @property
    def paused_by(self) -> str:
        """Who paused it, as `Pause` says."""
        return self.paused_reason or "person"


@dataclass(frozen=True, slots=True)
class ExplainedWebhook:
    """
    A webhook with all that is known of its past: `versions` from the oldest to the latest.

    The latest is the present one, unless the webhook was deleted. `next_probe_at` is set while its
    attempts are spaced out; `recorded_since` is when changes began to be recorded. `scope` is a
    WebhookScope, or what the application wrote.
    """

    id: WebhookId
    name: str
    created_at: datetime | None
    versions: tuple[WebhookVersion, ...]
    recorded_since: datetime
    next_probe_at: datetime | None = None
    scope: str = WebhookScope.EVENTS

    @property
    def latest(self) -> WebhookVersion:
        """The present version, or that in which it was deleted."""
        return self.versions[-1]


@dataclass(frozen=True, slots=True)
class ExplainedEvent:
    """An event; `at` is when it came in, None where that is unknown."""

    id: EventId
    tenant_id: TenantId
    type: str
    at: datetime | None


class Waiting(Enum):
    """Whether an event without a delivery is in the inbox for a webhook."""

    NO = auto()
    NOT_TAKEN = auto()
    TAKEN = auto()  # its first attempt may be under way
    UNKNOWN = auto()  # the inbox is too long to be searched


@dataclass(frozen=True, slots=True)
class ChainAttempt:
    """An attempt of one event to one webhook, as far as it tells what became of the event."""

    id: DeliveryId
    status: str
    number: int
    at: datetime | None
    due_at: datetime | None
    in_flight: bool
    too_large: bool
    error: str | None


@dataclass(frozen=True, slots=True)
class Kept:
    """The present time of the database, and how long deliveries and events are kept."""

    now: datetime
    deliveries: timedelta
    events: timedelta

    @property
    def deliveries_since(self) -> datetime:
        """Before this time, deliveries may have been deleted."""
        return self.now - self.deliveries
