"""
Attempts in flight in the order in which they began, so that each is noticed once it is slow.

Each operation takes the same time on average, however many are in flight.
"""

from collections import OrderedDict
from collections.abc import Hashable

from daemon.core.model.ids import WebhookId
from daemon.core.scheduling.endpoint_lane import SLOW_MS

SLOW_SECONDS = SLOW_MS / 1000


class AttemptAges:
    """
    Attempts by a key that no other in flight has; times are seconds on the caller's clock.

    `none_slow_before`: until then `take_slow` returns nothing, and need not be called.
    """

    def __init__(self) -> None:
        self._began: OrderedDict[Hashable, tuple[WebhookId, float]] = OrderedDict()
        self._slow: set[Hashable] = set()
        self.none_slow_before = 0.0

    def begin(self, key: Hashable, webhook_id: WebhookId, *, now: float) -> None:
        """Note that an attempt begins; none began later than this one."""
        self._began[key] = webhook_id, now

    def end(self, key: Hashable) -> bool:
        """Note that an attempt has ended; returns whether `take_slow` has returned its webhook."""
        if self._began.pop(key, None) is not None:
            return False
        self._slow.remove(key)
        return True

    def take_slow(self, *, now: float) -> list[WebhookId]:
        """The webhooks of attempts that have become slow since the last call, once for each."""
        slow: list[WebhookId] = []
        self.none_slow_before = now + SLOW_SECONDS
        for key, (webhook_id, began) in self._began.items():
            if now < began + SLOW_SECONDS:
                self.none_slow_before = began + SLOW_SECONDS
                break
            self._slow.add(key)
            slow.append(webhook_id)
        for _ in slow:
            self._began.popitem(last=False)
        return slow
