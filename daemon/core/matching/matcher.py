"""
A compiled subscription: whether an event's type and data match it.

The rule is that of the contract, section 3.
"""

from collections.abc import Generator
from dataclasses import dataclass

from daemon.core.matching.event_data import ComparisonKey, EventData
from daemon.core.matching.paths import Path


@dataclass(frozen=True, slots=True)
class TypePatterns:
    """Names and wildcards of event types; `names` is None when every type matches."""

    names: frozenset[str] | None
    prefixes: tuple[str, ...] = ()

    def matches(self, event_type: str) -> bool:
        """Whether a name or a wildcard matches this type."""
        return (
            self.names is None or event_type in self.names or event_type.startswith(self.prefixes)
        )


@dataclass(frozen=True, slots=True)
class Condition:
    """Holds when a value at any of the `paths` is one of the `values`."""

    paths: tuple[Path, ...]
    values: frozenset[ComparisonKey]

    def decide(self, data: EventData) -> Generator[None, None, bool]:
        """Whether the condition holds: what the generator returns."""
        for path in self.paths:
            yield from data.search(path)
            if not self.values.isdisjoint(data.keys_at(path)):
                return True
        return False


@dataclass(frozen=True, slots=True)
class Matcher:
    """A usable subscription: all of `types` must match and all of `conditions` must hold."""

    types: tuple[TypePatterns, ...]
    conditions: tuple[Condition, ...]

    @property
    def needs_data(self) -> bool:
        """Whether the result depends on the data; if not, callers may pass None as the data."""
        return bool(self.conditions)

    def matches(self, event_type: str, data: object) -> bool:
        """Whether the webhook gets an event of this type with this data (see `parse_json`)."""
        return self.matches_type(event_type) and (not self.needs_data or self.matches_data(data))

    def matches_type(self, event_type: str) -> bool:
        """Whether the webhook may get events of this type; the data may still not match."""
        return self.refusing_types(event_type) is None

    def refusing_types(self, event_type: str) -> int | None:
        """Which of `types` is the first that does not match, by its index; None if all match."""
        for index, types in enumerate(self.types):
            if not types.matches(event_type):
                return index
        return None

    def matches_data(self, data: object) -> bool:
        """Whether the webhook may get events with this data; the type may still not match."""
        deciding = self.decide(EventData(data))
        while True:
            try:
                next(deciding)
            except StopIteration as decided:
                return bool(decided.value)

    def decide(self, data: EventData) -> Generator[None, None, bool]:
        """The same in pieces: the generator yields after each, and returns whether it matches."""
        return (yield from self.unmet_condition(data)) is None

    def unmet_condition(self, data: EventData) -> Generator[None, None, Condition | None]:
        """The first condition that does not hold, in pieces; None if all hold."""
        for condition in self.conditions:
            if not (yield from condition.decide(data)):
                return condition
        return None
