"""
The subscriptions of one tenant, indexed by event type and by their conditions on the data.

An event must not cost a comparison for each of ten thousand webhooks: the index names those that
may want it, and only their matchers are asked. The rule: what a webhook takes here is its types and
its values, never one times the other.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace

from daemon.core.matching import memory
from daemon.core.matching.condition_index import ConditionIndex, Found
from daemon.core.matching.matcher import Matcher, TypePatterns
from daemon.core.model.ids import WebhookId

Types = tuple[TypePatterns, ...]


@dataclass(slots=True, eq=False)
class _Group:
    """Webhooks with the same lists of types; `found` are those that are found by them."""

    types: Types
    patterns: frozenset[str]
    webhooks: int = 0
    found: Found = field(default_factory=dict)


@dataclass(slots=True)
class _Bucket:
    """One type or wildcard: its webhooks, how many have conditions, and those found by it."""

    webhooks: int = 0
    conditional: int = 0
    groups: set[_Group] = field(default_factory=set)

    def count(self, sign: int, matcher: Matcher) -> None:
        """Count a webhook that is added or removed."""
        self.webhooks += sign
        self.conditional += sign * matcher.needs_data


class SubscriptionIndex:
    """The usable subscriptions of one tenant; they may change at any time."""

    def __init__(self) -> None:
        self._matchers: dict[WebhookId, Matcher] = {}
        self._groups: dict[Types, _Group] = {}
        self._buckets: dict[str, _Bucket] = {}
        self._conditions = ConditionIndex()
        self._bytes = 0
        # Found so far, of the present subscriptions.
        self._by_type: dict[str, tuple[_Bucket, ...]] = {}
        self._subscribers: dict[str, Sequence[WebhookId]] = {}
        self.version = 0  # changes with each subscription

    def __len__(self) -> int:
        return len(self._matchers)

    @property
    def bytes(self) -> int:
        """About how much memory it takes."""
        return self._bytes + self._conditions.bytes

    @property
    def webhook_ids(self) -> list[WebhookId]:
        """The webhooks that have a subscription."""
        return list(self._matchers)

    def put(self, webhook_id: WebhookId, matcher: Matcher) -> None:
        """Add a subscription, or replace the webhook's present one."""
        self.remove(webhook_id)
        self._forget_found()
        group = self._group(matcher.types)
        matcher = replace(matcher, types=group.types)
        self._matchers[webhook_id] = matcher
        self._bytes += _bytes_of(matcher)
        if not self._conditions.add(webhook_id, matcher):
            group.found[webhook_id] = matcher
        for pattern in group.patterns:
            bucket = self._buckets.get(pattern)
            if bucket is None:
                bucket = self._buckets[pattern] = _Bucket()
                self._bytes += BUCKET_BYTES
            bucket.count(1, matcher)
            if group.found:
                bucket.groups.add(group)

    def remove(self, webhook_id: WebhookId) -> None:
        """Remove the webhook's subscription, if it has one."""
        matcher = self._matchers.pop(webhook_id, None)
        if matcher is None:
            return
        self._forget_found()
        self._bytes -= _bytes_of(matcher)
        self._conditions.remove(webhook_id)
        group = self._groups[matcher.types]
        group.found.pop(webhook_id, None)
        for pattern in group.patterns:
            bucket = self._buckets[pattern]
            bucket.count(-1, matcher)
            if not group.found:
                bucket.groups.discard(group)
            if not bucket.webhooks:
                del self._buckets[pattern]
                self._bytes -= BUCKET_BYTES
        group.webhooks -= 1
        if not group.webhooks:
            del self._groups[group.types]
            self._bytes -= _bytes_of_group(group)

    def needs_data(self, event_type: str) -> bool:
        """Whether an event's data must be known to tell which webhooks get it."""
        return any(bucket.conditional for bucket in self._buckets_of(event_type))

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
            for group in tuple(bucket.groups):
                found.update(group.found)
                yield
        if self.needs_data(event_type):
            yield from self._conditions.search(data, found)

    def _group(self, types: Types) -> _Group:
        """The group of a webhook that is added."""
        group = self._groups.get(types)
        if group is None:
            group = self._groups[types] = _Group(types, _patterns(types))
            self._bytes += _bytes_of_group(group)
        group.webhooks += 1
        return group

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
BUCKET_BYTES = 2 * memory.ENTRY
MOST_SUBSCRIBERS_KEPT = 100
MOST_TYPES_KEPT = 1000  # event types are the application's: there may be any number


def _bytes_of(matcher: Matcher) -> int:
    """What a webhook takes beside its group."""
    return 3 * memory.ENTRY + sum(map(memory.of_condition, matcher.conditions))


def _bytes_of_group(group: _Group) -> int:
    """What a group takes, and its places in buckets."""
    return memory.of_types(group.types) + (len(group.patterns) // 4 + 3) * memory.ENTRY


def _patterns(types: Types) -> frozenset[str]:
    """The types and wildcards by which a webhook is found: of the narrower of its two lists."""
    return min(map(_patterns_of, types), key=_breadth)


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
