"""How the installation delivers."""

from daemon.admin.schemas.base import ResponseModel


class DeliverySettings(ResponseModel):
    """Settings on which receivers and the options of webhooks depend."""

    timeout: str
    """How long an attempt may take, unless the webhook sets it."""
    retry_schedule: list[str]
    """The waits after failed attempts, unless the webhook chooses another schedule."""
    retry_schedules: dict[str, list[str]]
    """The schedules that a webhook can choose as `retrySchedule`, by name."""
    failing_after: int
    """After this many failures in a row, attempts are spaced out."""
    pause_after: int
    """After this many failures in a row, the webhook is paused."""
    max_body_bytes: int
    """A larger body is never sent."""
    public_addresses: list[str]
    """The addresses or networks from which requests come; empty if they are not published."""
