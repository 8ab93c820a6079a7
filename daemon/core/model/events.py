"""Events to fan out, and the subscriptions that they are matched against."""

from datetime import datetime

from daemon.core.model.ids import EventId, TenantId, WebhookId
from daemon.core.model.value import value


@value(frozen=True, slots=True)
class Event:
    """
    A committed event in the inbox, waiting for fan-out; `created_at` is its row's.

    `only` is the one webhook that still has no delivery of it; None means every webhook.
    """

    id: EventId
    tenant_id: TenantId
    type: str
    created_at: datetime
    only: WebhookId | None = None


@value(frozen=True, slots=True)
class Subscription:
    """
    The columns of a webhook that decide which events it gets; `event_filters` is JSON text.

    `filter_error` is the reason stored so far why the filter matches no event. A webhook that is
    not `is_active` gets none.
    """

    webhook_id: WebhookId
    tenant_id: TenantId
    event_types: tuple[str, ...] | None
    event_filters: str | None
    filter_error: str | None = None
    is_active: bool = True
