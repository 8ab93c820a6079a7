"""
How long a lane rests after a postponed attempt: twice as long each time, up to a minute.

So a fault that lasts, or one that only some endpoints meet, costs little and delays no other lane.
"""

from daemon.core.model.ids import WebhookId

MAX_SECONDS = 60.0
MAX_REMEMBERED = 10_000


class LaneRests:
    """The rests of all lanes since their last attempt that was made."""

    def __init__(self) -> None:
        self._rests: dict[WebhookId, tuple[float, float]] = {}  # length in seconds and end

    def begin(self, webhook_id: WebhookId, *, least_seconds: float, now: float) -> float:
        """Return until when the lane rests; attempts that end while it rests prolong nothing."""
        if least_seconds == 0:
            return now
        seconds, until = self._rests.pop(webhook_id, (0.0, now))
        if until <= now:
            seconds = min(max(2 * seconds, least_seconds), MAX_SECONDS)
            until = now + seconds
        if len(self._rests) >= MAX_REMEMBERED:
            del self._rests[next(iter(self._rests))]
        self._rests[webhook_id] = seconds, until
        return until

    def end(self, webhook_id: WebhookId) -> None:
        """Note that an attempt was made: the next rest is a short one."""
        if self._rests:
            self._rests.pop(webhook_id, None)
