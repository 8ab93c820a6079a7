"""The health of an endpoint, and the changes that attempts make to it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from daemon.core.model.ids import WebhookId


@dataclass(frozen=True, slots=True)
class Health:
    """
    An endpoint's state, as stored in its row of `webhooks`.

    `failing_since` is the database's time of the transition, and `failed_probes` counts the failed
    attempts that began since then. `newly_failing`: the transition is not stored yet. `resumed`: it
    was paused, by a person or the daemon, after its last success.
    """

    is_active: bool
    is_failing: bool
    consecutive_failures: int
    failing_since: datetime | None = None
    failed_probes: int = 0
    newly_failing: bool = False
    resumed: bool = False

    @property
    def has_no_failures(self) -> bool:
        """Whether there is nothing that a success would end."""
        return self.consecutive_failures == 0 and not self.is_failing and not self.resumed


@dataclass(frozen=True, slots=True)
class HealthChange:
    """
    The new health of an endpoint after a batch of attempts.

    `succeeded` and `failed` say which kinds the batch contained. `paused_reason` is set only by
    the change that pauses the endpoint. `probe_in` is the wait until the next attempt, zero for
    none; None keeps the time of it that is stored.
    """

    webhook_id: WebhookId
    health: Health
    succeeded: bool
    failed: bool
    paused_reason: str | None
    probe_in: timedelta | None = None
