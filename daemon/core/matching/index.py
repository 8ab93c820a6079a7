"""
Who listens to what: the subscriptions of one tenant, sorted by event type once for many events.

A tenant with a thousand webhooks must not cost a thousand comparisons an event: the types decide
first, and once for each type; only filters on the data are looked at for every event.
"""

from collections import defaultdict
from dataclasses import dataclass

from daemon.core.matching.matcher import Matcher
from daemon.core.model.ids import WebhookId


@dataclass(frozen=True, slots=True)
class Subscribers:
    """The webhooks that take one event type: those that take all of it, and those that look."""

    always: tuple[WebhookId, ...]
    by_data: tuple[tuple[WebhookId, Matcher], ...]

    @property
    def depends_on_data(self) -> bool:
        return bool(self.by_data)


class SubscriptionIndex:
    """The usable subscriptions of one tenant."""

    def __init__(self) -> None:
        self._by_name: dict[str, list[tuple[WebhookId, Matcher]]] = defaultdict(list)
        self._others: list[tuple[WebhookId, Matcher]] = []
        self._known: dict[str, Subscribers] = {}

    def add(self, webhook_id: WebhookId, matcher: Matcher) -> None:
        """Before the first `of`."""
        names = matcher.named_types
        if names is None:
            self._others.append((webhook_id, matcher))
        else:
            for name in names:
                self._by_name[name].append((webhook_id, matcher))

    def of(self, event_type: str) -> Subscribers:
        """The webhooks whose types take this one."""
        known = self._known.get(event_type)
        if known is None:
            known = self._known[event_type] = self._listeners(event_type)
        return known

    def _listeners(self, event_type: str) -> Subscribers:
        takers = [
            (webhook_id, matcher)
            for webhook_id, matcher in (*self._by_name.get(event_type, ()), *self._others)
            if matcher.matches_type(event_type)
        ]
        return Subscribers(
            tuple(webhook_id for webhook_id, matcher in takers if not matcher.needs_data),
            tuple(taker for taker in takers if taker[1].needs_data),
        )
