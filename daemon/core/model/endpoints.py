"""The health of an endpoint."""

from dataclasses import dataclass

from daemon.core.model.ids import WebhookId


@dataclass(frozen=True, slots=True)
class Health:
    """An endpoint's state, as the row of `webhooks` holds it."""

    is_active: bool
    is_failing: bool
    consecutive_failures: int


@dataclass(frozen=True, slots=True)
class HealthChange:
    """An endpoint's new health; `paused_reason` is set only by the change that pauses it."""

    webhook_id: WebhookId
    health: Health
    succeeded: bool
    failed: bool
    paused_reason: str | None
