"""
Webhooks of which the database has very much to pass before it finds anything: they are passed over.

The rule: each is looked at again, alone, after some seconds; twice as long each time that it was
slow again. So many of them take a small share of the time, and none is forgotten for good.
"""

from dataclasses import dataclass
from uuid import UUID

from daemon.core.model.ids import WebhookId

FIRST_SECONDS = 10.0
MOST_SECONDS = 300.0
MOST_WEBHOOKS = 100  # that are remembered


@dataclass(slots=True)
class _Slow:
    until: float
    seconds: float


class SlowWebhooks:
    """Those that are remembered, in the order of their ids; times are the caller's clock."""

    def __init__(self) -> None:
        self._slow: dict[WebhookId, _Slow] = {}

    def note(self, webhook_id: WebhookId, *, now: float) -> None:
        """Note that looking at this one alone took too long."""
        known = self._slow.pop(webhook_id, None)
        seconds = FIRST_SECONDS if known is None else min(2 * known.seconds, MOST_SECONDS)
        self._slow[webhook_id] = _Slow(now + seconds, seconds)
        if len(self._slow) > MOST_WEBHOOKS:
            del self._slow[next(iter(self._slow))]

    def forget(self, webhook_id: WebhookId) -> None:
        """Forget one that is slow no more."""
        self._slow.pop(webhook_id, None)

    def is_to_be_passed(self, webhook_id: WebhookId, *, now: float) -> bool:
        """Whether it is too early to look at it again."""
        slow = self._slow.get(webhook_id)
        return slow is not None and now <= slow.until

    def first_after(self, webhook_id: UUID) -> WebhookId | None:
        """The first one that is remembered behind this id."""
        return min((each for each in self._slow if each > webhook_id), default=None)
