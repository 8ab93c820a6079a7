"""
Which of what it comes by a replay sends: what was asked for, and what the webhook wants.

The rule is that of `matching`; an event that its webhook does not want today is not replayed to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.core.matching.compiler import UnusableFilter, compile_subscription, compile_types
from daemon.core.matching.matcher import Matcher
from daemon.core.model.replays import ReplaySource


@dataclass(frozen=True, slots=True)
class ReplayFilter:
    """`asked` are the types that were named; a `subscription` of None leaves it at that."""

    asked: Matcher
    subscription: Matcher | None = None

    @property
    def needs_data(self) -> bool:
        return self.subscription is not None and self.subscription.needs_data

    def matches_type(self, event_type: str) -> bool:
        """Whether events of this type are sent, as far as the type decides."""
        wanted = self.subscription is None or self.subscription.matches_type(event_type)
        return wanted and self.asked.matches_type(event_type)

    def matches_data(self, data: object) -> bool:
        """Whether events with this data (see `parse_json`) are, as far as the data decide."""
        return self.subscription is None or self.subscription.matches_data(data)


def events_filter(
    asked: tuple[str, ...] | None, event_types: tuple[str, ...] | None, event_filters: str | None
) -> ReplayFilter | UnusableFilter:
    """Of events: the types `asked` for that a webhook with this subscription wants."""
    subscription = compile_subscription(event_types, event_filters)
    if isinstance(subscription, UnusableFilter):
        return subscription
    return ReplayFilter(_types(asked), subscription)


def deliveries_filter(asked: tuple[str, ...] | None) -> ReplayFilter:
    """Of deliveries, which their webhook wanted once: the types `asked` for."""
    return ReplayFilter(_types(asked))


def _types(asked: tuple[str, ...] | None) -> Matcher:
    return Matcher((compile_types(asked or ()),), ())


def replay_filter_for(
    source: ReplaySource,
    asked: Sequence[str] | None,
    event_types: Sequence[str] | None,
    event_filters: str | None,
) -> ReplayFilter | UnusableFilter:
    """What a replay that was `asked` for these types sends to a webhook with this subscription."""
    types = None if asked is None else tuple(asked)
    if source is ReplaySource.EXHAUSTED:
        return deliveries_filter(types)
    return events_filter(types, None if event_types is None else tuple(event_types), event_filters)
