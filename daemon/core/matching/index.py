"""
The subscriptions of one tenant, indexed by event type and by their conditions on the data.

An event must not cost a comparison for each of ten thousand webhooks: the index names those that
may want it, and only their matchers are asked.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field

from daemon.core.matching.condition_index import ConditionIndex, Found
from daemon.core.matching.matcher import Matcher, TypePatterns
from daemon.core.model.ids import WebhookId


@dataclass(slots=True)
class _Bucket:
    """The webhooks that are found by one type or wildcard, without conditions and with them."""

    unconditional: Found = field(default_factory=dict)
    conditional: ConditionIndex = field(default_factory=ConditionIndex)

    @property
    def empty(self) -> bool:
        """Whether it has no webhook."""
        return not self.unconditional and not len(self.conditional)


class SubscriptionIndex:
    """The usable subscriptions of one tenant; they may change at any time."""

    def __init__(self) -> None:
        self._matchers: dict[WebhookId, Matcher] = {}
        self._buckets: dict[str, _Bucket] = {}
        # Found so far, of the present subscriptions.
        self._by_type: dict[str, tuple[_Bucket, ...]] = {}
        self._subscribers: dict[str, Sequence[WebhookId]] = {}
        self.version = 0  # changes with each subscription

    def __len__(self) -> int:
        return len(self._matchers)

    def put(self, webhook_id: WebhookId, matcher: Matcher) -> None:
        """Add a subscription, or replace the webhook's present one."""
        self.remove(webhook_id)
        self._matchers[webhook_id] = matcher
        self._forget_found()
        for pattern in _patterns(matcher):
            bucket = self._buckets.setdefault(pattern, _Bucket())
            if matcher.needs_data:
                bucket.conditional.add(webhook_id, matcher)
            else:
                bucket.unconditional[webhook_id] = matcher

    def remove(self, webhook_id: WebhookId) -> None:
        """Remove the webhook's subscription, if it has one."""
        matcher = self._matchers.pop(webhook_id, None)
        if matcher is None:
            return
        self._forget_found()
        for pattern in _patterns(matcher):
            bucket = self._buckets[pattern]
            bucket.unconditional.pop(webhook_id, None)
            bucket.conditional.remove(webhook_id)
            if bucket.empty:
                del self._buckets[pattern]

    def needs_data(self, event_type: str) -> bool:
        """Whether an event's data must be known to tell which webhooks get it."""
        return any(len(bucket.conditional) for bucket in self._buckets_of(event_type))

    def known_subscribers(self, event_type: str) -> Sequence[WebhookId] | None:
        """The webhooks that get every event of this type, if they are remembered."""
        return self._subscribers.get(event_type)

    def remember(self, event_type: str, webhook_ids: Sequence[WebhookId], *, version: int) -> None:
        """
        Remember which webhooks get every event of a type, until a subscription changes.

        `version` is that of before the search, during which one may have changed.
        """
        few = len(webhook_ids) <= MOST_SUBSCRIBERS_KEPT and len(self._subscribers) < MOST_TYPES_KEPT
        if few and version == self.version and not self.needs_data(event_type):
            self._subscribers[event_type] = webhook_ids

    def candidates(self, event_type: str, data: object) -> Found:
        """
        Return the webhooks that may get an event, with their matchers, which decide.

        `data` is as `parse_json` returns it; None will do where `needs_data` is false.
        """
        found: Found = {}
        for _ in self.search(event_type, data, found):
            pass
        return found

    def search(self, event_type: str, data: object, found: Found) -> Generator[None, None, None]:
        """The same in pieces: add them to `found`, and yield after each piece."""
        for bucket in self._buckets_of(event_type):
            found.update(bucket.unconditional)
            if len(bucket.conditional):
                yield from bucket.conditional.search(data, found)

    def _forget_found(self) -> None:
        self.version += 1
        self._by_type.clear()
        self._subscribers.clear()

    def _buckets_of(self, event_type: str) -> tuple[_Bucket, ...]:
        found = self._by_type.get(event_type)
        if found is None:
            patterns = (event_type, *_wildcards_for(event_type))
            found = tuple(self._buckets[each] for each in patterns if each in self._buckets)
            if len(self._by_type) < MOST_TYPES_KEPT:
                self._by_type[event_type] = found
        return found


EVERY_TYPE = "*"
MOST_SUBSCRIBERS_KEPT = 100
MOST_TYPES_KEPT = 1000  # event types are the application's: there may be any number


def _patterns(matcher: Matcher) -> frozenset[str]:
    """The types and wildcards by which a webhook is found: of the narrower of its two lists."""
    return min(map(_patterns_of, matcher.types), key=_breadth)


def _patterns_of(types: TypePatterns) -> frozenset[str]:
    if types.names is None:
        return frozenset({EVERY_TYPE})
    return types.names | {f"{prefix}*" for prefix in types.prefixes}


def _breadth(patterns: frozenset[str]) -> tuple[bool, bool, int]:
    return (
        EVERY_TYPE in patterns,
        any(each and each.endswith(".*") for each in patterns),
        len(patterns),
    )


def _wildcards_for(event_type: str) -> Iterator[str]:
    """The wildcards that match a type, except those that are the type itself, literally."""
    wildcards = [f"{event_type[: at + 1]}*" for at, each in enumerate(event_type) if each == "."]
    return (each for each in (EVERY_TYPE, *wildcards) if each != event_type)
