"""A webhook: what its owner configures, and the row that stores it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from daemon.core.model.delivery_options import DEFAULT_OPTIONS, DeliveryOptions
from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.model.operational_events import WebhookScope
from daemon.core.model.secrets import StoredSecrets


class WebhookState(StrEnum):
    """What a webhook gets at present: everything, spaced attempts, or nothing."""

    ACTIVE = "active"
    FAILING = "failing"
    PAUSED = "paused"


def state_of(*, is_active: bool, is_failing: bool) -> WebhookState:
    """The state of a webhook with these columns."""
    if not is_active:
        return WebhookState.PAUSED
    return WebhookState.FAILING if is_failing else WebhookState.ACTIVE


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
    `unconfirmed_email` the key of an address that the API stored, not yet confirmed. While it
    is failing since `failing_since`, `failed_probes` attempts have failed, and `next_probe_at` is
    when the next one may begin; None if attempts are not spaced. `scope` may be none that there is:
    the application wrote it, and no event matches. One that `is_unmarked` has the scope of
    operators without having been made by one, and gets nothing either.
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
    scope: str = WebhookScope.EVENTS
    failing_since: datetime | None = None
    failed_probes: int = 0
    is_unmarked: bool = False

    @property
    def state(self) -> WebhookState:
        """What it gets at present."""
        return state_of(is_active=self.is_active, is_failing=self.is_failing)
