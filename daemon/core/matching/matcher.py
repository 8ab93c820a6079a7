"""A compiled subscription: whether an event's type and data meet it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from daemon.core.wire.json_value import Scalar

Key = tuple[bool, object]  # as `_key` makes it


Path = tuple[str, ...]  # its segments as they are written


@dataclass(frozen=True, slots=True)
class Types:
    """Names and wildcards of event types; `exact` None takes every type."""

    exact: frozenset[str] | None
    prefixes: tuple[str, ...] = ()

    def take(self, event_type: str) -> bool:
        return (
            self.exact is None or event_type in self.exact or event_type.startswith(self.prefixes)
        )


@dataclass(frozen=True, slots=True)
class Condition:
    """Some value at any of the `paths` is one of the `values` (each as `_key` makes it)."""

    paths: tuple[Path, ...]
    values: frozenset[Key]

    def holds(self, data: object) -> bool:
        return any(
            _key(value) in self.values for path in self.paths for value in _scalars_at(data, path)
        )


@dataclass(frozen=True, slots=True)
class Matcher:
    """A subscription that is understood: every one of `types` and `conditions` must hold."""

    types: tuple[Types, ...]
    conditions: tuple[Condition, ...]

    @property
    def needs_data(self) -> bool:
        """Whether `wants` looks at the data at all; if not, None will do for it."""
        return bool(self.conditions)

    @property
    def named_types(self) -> frozenset[str] | None:
        """The only types it can take, when it names every one; None when there are wildcards."""
        for types in self.types:
            if types.exact is not None and not types.prefixes:
                return types.exact
        return None

    def wants(self, event_type: str, data: object) -> bool:
        """Whether the webhook gets an event of this type with this data (see `parsed`)."""
        return self.matches_type(event_type) and self.matches_data(data)

    def matches_type(self, event_type: str) -> bool:
        """Whether it wants events of this type, as far as the type decides."""
        return all(types.take(event_type) for types in self.types)

    def matches_data(self, data: object) -> bool:
        """Whether it wants events with this data, as far as the data decide."""
        return all(condition.holds(data) for condition in self.conditions)


@lru_cache(maxsize=1024)
def _other_spellings(segment: str) -> tuple[str, str]:
    return _camel_case(segment), _snake_case(segment)


def _camel_case(name: str) -> str:
    return re.sub("(?<=[^_])_+([a-z0-9])", lambda found: found[1].upper(), name)


def _snake_case(name: str) -> str:
    return re.sub("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _scalars_at(data: object, path: Path) -> Iterator[Scalar]:
    found: list[object] = [data]
    for segment in path:
        if not found:
            return
        found = [
            member
            for value in _each(found)
            if isinstance(value, dict)
            for member in _looked_up(value, segment)
        ]
    for value in _each(found):
        if value is None or isinstance(value, Scalar):
            yield value


def _each(values: list[object]) -> Iterator[object]:
    """The values, and of those that are arrays the elements instead."""
    for value in values:
        if isinstance(value, list):
            yield from value
        else:
            yield value


def _looked_up(value: dict[str, object], segment: str) -> list[object]:
    if segment in value:
        return [value[segment]]
    for name in _other_spellings(segment):
        if name in value:
            return [value[name]]
    return []


def _key(value: object) -> Key:
    """Equal for equal JSON values: 1 and 1.0 are, 1 and true are not, though Python thinks so."""
    return isinstance(value, bool), value
