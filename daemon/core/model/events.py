"""Events, and what decides which webhooks get them."""

from dataclasses import dataclass
from datetime import datetime

from daemon.core.model.ids import EventId, TenantId, WebhookId


@dataclass(frozen=True, slots=True)
class Event:
    """
    A committed row of `webhook_events` that waits to be fanned out.

    `only` names the one webhook that has not been served yet; None stands for every webhook.
    """

    id: EventId
    tenant_id: TenantId
    type: str
    created_at: datetime
    only: WebhookId | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """
    What decides whether a webhook wants an event; `event_filters` is JSON text or None.

    `filter_error` is what the webhook's row says about its filter so far.
    """

    webhook_id: WebhookId
    tenant_id: TenantId
    event_types: tuple[str, ...] | None
    event_filters: str | None
    filter_error: str | None = None
