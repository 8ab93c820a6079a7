"""The health of an endpoint, and the changes that attempts make to it."""

from dataclasses import dataclass

from daemon.core.model.ids import WebhookId


@dataclass(frozen=True, slots=True)
class Health:
    """An endpoint's state, as stored in its row of `webhooks`."""

    is_active: bool
    is_failing: bool
    consecutive_failures: int


@dataclass(frozen=True, slots=True)
class HealthChange:
    """
    The new health of an endpoint after a batch of attempts.

    `succeeded` and `failed` say which kinds the batch contained. `paused_reason` is set only by
    the change that pauses the endpoint.
    """

    webhook_id: WebhookId
    health: Health
    succeeded: bool
    failed: bool
    paused_reason: str | None
