"""The schemas of requests and responses: the API validates, serves and documents from them."""

from daemon.admin.schemas.audit import AuditQuery, AuditRecord, AuditRecordList
from daemon.admin.schemas.cursor import Cursor
from daemon.admin.schemas.deliveries import (
    DeliveriesQuery,
    Delivery,
    DeliveryDetail,
    DeliveryList,
    DeliverySearchPage,
    DeliverySearchQuery,
    RetryStarted,
)
from daemon.admin.schemas.event_filters import EventFilters
from daemon.admin.schemas.events import (
    CampaignFacet,
    ContactFacet,
    Event,
    EventDetail,
    EventFacets,
    EventList,
    EventsQuery,
    EventType,
    EventTypeList,
    TypeFacet,
)
from daemon.admin.schemas.exchanges import ReceivedResponse, SentRequest, Timing
from daemon.admin.schemas.problem import FieldError, Problem
from daemon.admin.schemas.replays import (
    CreateReplayRequest,
    Replay,
    ReplayCount,
    ReplayList,
    ReplaysQuery,
    RetriesStarted,
    TimeRange,
)
from daemon.admin.schemas.secret_rotation import RotatedSecret, RotateSecretRequest
from daemon.admin.schemas.stats import StatsPoint, StatsQuery, StatsSummary, WebhookStats
from daemon.admin.schemas.tenant_tokens import (
    CreatedTenantToken,
    CreateTenantTokenRequest,
    TenantToken,
    TenantTokenList,
    TenantTokensQuery,
)
from daemon.admin.schemas.test_events import FailedTestEvent, TestEventRequest, TestEventResult
from daemon.admin.schemas.webhooks import (
    ClientCertificate,
    CreatedWebhook,
    CreateWebhookRequest,
    ListedWebhook,
    UpdateWebhookRequest,
    Webhook,
    WebhookList,
    WebhooksQuery,
)

__all__ = [
    "AuditQuery",
    "AuditRecord",
    "AuditRecordList",
    "CampaignFacet",
    "ClientCertificate",
    "ContactFacet",
    "CreateReplayRequest",
    "CreateTenantTokenRequest",
    "CreateWebhookRequest",
    "CreatedTenantToken",
    "CreatedWebhook",
    "Cursor",
    "DeliveriesQuery",
    "Delivery",
    "DeliveryDetail",
    "DeliveryList",
    "DeliverySearchPage",
    "DeliverySearchQuery",
    "Event",
    "EventDetail",
    "EventFacets",
    "EventFilters",
    "EventList",
    "EventType",
    "EventTypeList",
    "EventsQuery",
    "FailedTestEvent",
    "FieldError",
    "ListedWebhook",
    "Problem",
    "ReceivedResponse",
    "Replay",
    "ReplayCount",
    "ReplayList",
    "ReplaysQuery",
    "RetriesStarted",
    "RetryStarted",
    "RotateSecretRequest",
    "RotatedSecret",
    "SentRequest",
    "StatsPoint",
    "StatsQuery",
    "StatsSummary",
    "TenantToken",
    "TenantTokenList",
    "TenantTokensQuery",
    "TestEventRequest",
    "TestEventResult",
    "TimeRange",
    "Timing",
    "TypeFacet",
    "UpdateWebhookRequest",
    "Webhook",
    "WebhookList",
    "WebhookStats",
    "WebhooksQuery",
]
