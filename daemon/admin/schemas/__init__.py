"""The shapes of what the API takes and gives: validated, documented and served from these alone."""

from daemon.admin.schemas.deliveries import (
    Deliveries,
    DeliveriesQuery,
    Delivery,
    DeliveryInFull,
    RetryStarted,
)
from daemon.admin.schemas.events import (
    Event,
    EventInFull,
    Events,
    EventsQuery,
    EventType,
    EventTypes,
)
from daemon.admin.schemas.fields import Before
from daemon.admin.schemas.problems import MistakeTold, ProblemTold
from daemon.admin.schemas.replays import (
    NewReplay,
    Replay,
    ReplayCount,
    Replays,
    ReplaysQuery,
    RetriesStarted,
    Window,
)
from daemon.admin.schemas.test_event import (
    ReceivedResponse,
    SentRequest,
    TestEvent,
    TestResult,
    Timing,
)
from daemon.admin.schemas.tokens import NewTenantToken, TenantTokenMade
from daemon.admin.schemas.webhooks import (
    ClientCertificateTaken,
    EventFilters,
    NewlyMadeWebhook,
    NewWebhook,
    RotatedSecret,
    Rotation,
    Webhook,
    WebhookChange,
    Webhooks,
    WebhooksQuery,
)

__all__ = [
    "Before",
    "ClientCertificateTaken",
    "Deliveries",
    "DeliveriesQuery",
    "Delivery",
    "DeliveryInFull",
    "Event",
    "EventFilters",
    "EventInFull",
    "EventType",
    "EventTypes",
    "Events",
    "EventsQuery",
    "MistakeTold",
    "NewReplay",
    "NewTenantToken",
    "NewWebhook",
    "NewlyMadeWebhook",
    "ProblemTold",
    "ReceivedResponse",
    "Replay",
    "ReplayCount",
    "Replays",
    "ReplaysQuery",
    "RetriesStarted",
    "RetryStarted",
    "RotatedSecret",
    "Rotation",
    "SentRequest",
    "TenantTokenMade",
    "TestEvent",
    "TestResult",
    "Timing",
    "Webhook",
    "WebhookChange",
    "Webhooks",
    "WebhooksQuery",
    "Window",
]
