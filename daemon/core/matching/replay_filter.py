"""
Which events or deliveries a replay sends: those that were asked for and that the webhook wants.

The rule: events are matched as fan-out matches them, against the webhook's present subscription.
Deliveries that are sent again were matched when they were made.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from daemon.core.matching.compiler import UnusableFilter, compile_subscription, compile_types
from daemon.core.matching.event_data import EventData
from daemon.core.matching.matcher import Matcher
from daemon.core.model.operational_events import WebhookScope
from daemon.core.model.replays import ReplaySource

OPERATIONAL = UnusableFilter(
    "scope: this webhook gets operational events, which are not stored: there is none to replay."
)


@dataclass(frozen=True, slots=True)
class ReplayFilter:
    """Types that were `asked` for, and the webhook's `subscription`; None does not restrict."""

    asked: Matcher
    subscription: Matcher | None = None

    @property
    def needs_data(self) -> bool:
        """Whether an event's type does not suffice to decide."""
        return self.subscription is not None and self.subscription.needs_data

    def asks_for(self, event_type: str) -> bool:
        """Whether this type was asked for, subscribed or not."""
        return self.asked.matches_type(event_type)

    def unsubscribed(self, types: Sequence[str]) -> tuple[str, ...]:
        """These types, if they have no wildcards and the webhook subscribes to none of them."""
        if self.subscription is None or any("*" in each for each in types):
            return ()
        wanted = any(self.subscription.matches_type(each) for each in types)
        return () if wanted else tuple(types)

    def matches_type(self, event_type: str) -> bool:
        """Whether events of this type are sent, as far as the type decides."""
        wanted = self.subscription is None or self.subscription.matches_type(event_type)
        return wanted and self.asked.matches_type(event_type)

    def matches_data(self, data: object) -> bool:
        """Whether events with this data (see `parse_json`) are sent, as far as data decide."""
        return self.subscription is None or self.subscription.matches_data(data)

    def decide(self, data: object) -> Generator[None, None, bool]:
        """The same in pieces: the generator yields after each, and returns whether it matches."""
        if self.subscription is None:
            return True
        return (yield from self.subscription.decide(EventData(data)))


def replay_filter_for(
    source: ReplaySource,
    asked: Sequence[str] | None,
    event_types: Sequence[str] | None,
    event_filters: str | None,
    *,
    scope: str = WebhookScope.EVENTS,
) -> ReplayFilter | UnusableFilter:
    """
    Compile the filter of a replay to a webhook.

    `asked` are the types that the replay was asked for, None all of them; `event_types` and
    `event_filters` (JSON text) are the webhook's subscription, and `scope` says of which events.
    """
    types = Matcher((compile_types(tuple(asked or ())),), ())
    if source is ReplaySource.EXHAUSTED:
        return ReplayFilter(types)
    if scope != WebhookScope.EVENTS:
        return OPERATIONAL
    subscription = compile_subscription(
        None if event_types is None else tuple(event_types), event_filters
    )
    if isinstance(subscription, UnusableFilter):
        return subscription
    return ReplayFilter(types, subscription)
