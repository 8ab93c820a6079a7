"""A webhook: what its owner configures, and the row that stores it."""

from dataclasses import dataclass
from datetime import datetime

from daemon.core.model.delivery_options import DEFAULT_OPTIONS, DeliveryOptions
from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.model.secrets import StoredSecrets


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """What the owner of a webhook configures; `event_filters` is JSON text."""

    name: str
    description: str | None
    endpoint_url: str
    event_types: tuple[str, ...] | None
    event_filters: str | None
    notification_email: str | None


@dataclass(frozen=True, slots=True)
class WebhookEntry:
    """
    A row of `webhooks`; its secrets are as stored, each sealed or plain.

    `filter_error` is why its filter matches no event, `paused_reason` why it is paused,
    `unconfirmed_email` the key of an address that the API stored and nobody has confirmed. While it
    is failing, `next_probe_at` is when the next attempt may begin; None if attempts are not spaced.
    """

    id: WebhookId
    tenant_id: TenantId
    settings: WebhookSettings
    secrets: StoredSecrets
    previous_secret_expires_at: datetime | None
    filter_error: str | None
    is_active: bool
    is_failing: bool
    consecutive_failures: int
    paused_reason: str | None
    last_success_at: datetime | None
    last_failure_at: datetime | None
    created_at: datetime | None
    updated_at: datetime | None = None
    unconfirmed_email: str | None = None
    next_probe_at: datetime | None = None
    options: DeliveryOptions = DEFAULT_OPTIONS
