"""
Which of what it comes by a replay sends: what was asked for, and what the webhook wants.

The rule is that of `matching`; an event that its webhook does not want today is not replayed to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.core.matching.compiler import Unusable, compile_subscription, types_named
from daemon.core.matching.matcher import Matcher
from daemon.core.model.replays import Source


@dataclass(frozen=True, slots=True)
class Choice:
    """`asked` are the types that were named; a `subscription` of None leaves it at that."""

    asked: Matcher
    subscription: Matcher | None = None

    @property
    def needs_data(self) -> bool:
        return self.subscription is not None and self.subscription.needs_data

    def takes(self, event_type: str) -> bool:
        """Whether events of this type are sent, as far as the type decides."""
        wanted = self.subscription is None or self.subscription.takes(event_type)
        return wanted and self.asked.takes(event_type)

    def meets(self, data: object) -> bool:
        """Whether events with this data (see `matching.parsed`) are, as far as the data decide."""
        return self.subscription is None or self.subscription.meets(data)


def choice_of_events(
    asked: tuple[str, ...] | None, event_types: tuple[str, ...] | None, event_filters: str | None
) -> Choice | Unusable:
    """Of events: the types `asked` for that a webhook with this subscription wants."""
    subscription = compile_subscription(event_types, event_filters)
    if isinstance(subscription, Unusable):
        return subscription
    return Choice(_types(asked), subscription)


def choice_of_deliveries(asked: tuple[str, ...] | None) -> Choice:
    """Of deliveries, which their webhook wanted once: the types `asked` for."""
    return Choice(_types(asked))


def _types(asked: tuple[str, ...] | None) -> Matcher:
    return Matcher((types_named(asked or ()),), ())


def choice_of(
    source: Source,
    asked: Sequence[str] | None,
    event_types: Sequence[str] | None,
    event_filters: str | None,
) -> Choice | Unusable:
    """What a replay that was `asked` for these types sends to a webhook with this subscription."""
    types = None if asked is None else tuple(asked)
    if source is Source.EXHAUSTED:
        return choice_of_deliveries(types)
    return choice_of_events(
        types, None if event_types is None else tuple(event_types), event_filters
    )
