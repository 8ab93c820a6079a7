"""
Why a subscription does not match an event, with what was found and what was wanted.

The matcher decides; this only says which of its rules refused, and shows the values.
"""

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from itertools import islice

from daemon.core.matching.conditions import MEMBERS
from daemon.core.matching.event_data import EventData, value_of
from daemon.core.matching.matcher import Condition, Matcher, TypePatterns

MOST_SHOWN = 10  # values, of what may be a thousand
LONGEST_SHOWN = 100  # characters of a value
MOST_SORTED = 1000

ShownValue = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class TypeMismatch:
    """The event's type is none of `wanted`, which `member` of the webhook names."""

    member: str
    wanted: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConditionMismatch:
    """
    None of the values `found` at `path` in the event's data is one of `wanted`.

    `member` is the member of `event_filters`. Where it stands for several paths, `path` is the
    first that has a value. Nothing is found where the path is missing or leads to no scalar. There
    may be more values than are shown.
    """

    member: str
    path: str
    found: tuple[ShownValue, ...]
    wanted: tuple[ShownValue, ...]


Mismatch = TypeMismatch | ConditionMismatch

# By their place in `Matcher.types`.
TYPE_MEMBERS = ("eventTypes", "eventFilters.event_types")


def type_mismatch(matcher: Matcher, event_type: str) -> TypeMismatch | None:
    """Why the matcher refuses the type; None if it does not."""
    refusing = matcher.refusing_types(event_type)
    if refusing is None:
        return None
    return TypeMismatch(TYPE_MEMBERS[refusing], _shown_types(matcher.types[refusing]))


def data_mismatch(
    matcher: Matcher, data: EventData
) -> Generator[None, None, ConditionMismatch | None]:
    """Why the matcher refuses the data, in pieces; None if it does not."""
    condition = yield from matcher.unmet_condition(data)
    return None if condition is None else _condition_mismatch(condition, data)


def _condition_mismatch(condition: Condition, data: EventData) -> ConditionMismatch:
    # `unmet_condition` has searched every path.
    path = next((each for each in condition.paths if data.keys_at(each)), condition.paths[0])
    return ConditionMismatch(
        MEMBERS.get(condition.paths, "filters"),
        ".".join(path),
        _shown(map(value_of, data.keys_at(path))),
        _shown(map(value_of, condition.values)),
    )


def _shown_types(types: TypePatterns) -> tuple[str, ...]:
    names = sorted(each for each in types.names or () if each)
    return tuple(each[:LONGEST_SHOWN] for each in names[:MOST_SHOWN])


def _shown(values: Iterable[object]) -> tuple[ShownValue, ...]:
    some = sorted(islice(values, MOST_SORTED), key=repr)
    return tuple(_shown_value(each) for each in some[:MOST_SHOWN])


def _shown_value(value: object) -> ShownValue:
    if value is None or isinstance(value, int | float):  # numbers beyond 2**53 are texts already
        return value
    text = str(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
