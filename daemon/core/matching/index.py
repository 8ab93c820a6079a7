"""
The subscriptions of one tenant, indexed by event type.

An event must not cost a comparison for each of a thousand webhooks: types are matched first, and
once for each type; only conditions on the data are checked for every event.
"""

from collections import defaultdict
from dataclasses import dataclass

from daemon.core.matching.matcher import Matcher
from daemon.core.model.ids import WebhookId


@dataclass(frozen=True, slots=True)
class Subscribers:
    """
    The webhooks whose types match one event type.

    Those in `conditional` get an event only if their matcher matches its data too.
    """

    unconditional: tuple[WebhookId, ...]
    conditional: tuple[tuple[WebhookId, Matcher], ...]

    @property
    def needs_data(self) -> bool:
        """Whether an event's data must be read to know which webhooks get it."""
        return bool(self.conditional)


class SubscriptionIndex:
    """The usable subscriptions of one tenant; add all of them before the first lookup."""

    def __init__(self) -> None:
        self._by_type: dict[str, list[tuple[WebhookId, Matcher]]] = defaultdict(list)
        self._with_wildcards: list[tuple[WebhookId, Matcher]] = []
        self._found: dict[str, Subscribers] = {}

    def add(self, webhook_id: WebhookId, matcher: Matcher) -> None:
        """Add a subscription."""
        types = matcher.named_types
        if types is None:
            self._with_wildcards.append((webhook_id, matcher))
        else:
            for event_type in types:
                self._by_type[event_type].append((webhook_id, matcher))

    def subscribers_of(self, event_type: str) -> Subscribers:
        """Return the webhooks whose types match this one."""
        found = self._found.get(event_type)
        if found is None:
            found = self._found[event_type] = self._find(event_type)
        return found

    def _find(self, event_type: str) -> Subscribers:
        matching = [
            (webhook_id, matcher)
            for webhook_id, matcher in (*self._by_type.get(event_type, ()), *self._with_wildcards)
            if matcher.matches_type(event_type)
        ]
        return Subscribers(
            tuple(webhook_id for webhook_id, matcher in matching if not matcher.needs_data),
            tuple(entry for entry in matching if entry[1].needs_data),
        )
