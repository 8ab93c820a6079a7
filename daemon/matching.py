"""
Which webhooks want an event: the rule of the contract's section 3, and nothing beside it.

A filter that we do not understand wants nothing and says why; it never raises, and never widens
what a customer gets. Nor do we understand one larger than anybody needs: what it costs is
paid on the loop that serves everybody.
"""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

import orjson

from daemon import json_text

Scalar = str | int | float | Decimal | bool | None
Key = tuple[bool, object]  # as `_key` makes it
Path = tuple[str, ...]  # its segments as they are written

LONGEST_TEXT = 16 * 1024  # characters, as PostgreSQL prints the filter
MOST_TYPES = 100
MOST_IDS = 1000  # of workspaces, and of campaigns
MOST_PATHS = 100
MOST_SEGMENTS = 16
MOST_VALUES = 1000  # of all paths together

SHORT = 512

# Beyond 64 bits orjson makes a double of an integer, and two ids become one.
LONG_NUMBER = re.compile(r"[\s:,\[]-?[0-9]{19}")


def parsed(text: str | None) -> object:
    """JSON text as `Matcher.wants` takes it; SQL's NULL is null. Raises ValueError if not JSON."""
    if text is None:
        return None
    try:
        if not LONG_NUMBER.search(text):
            return orjson.loads(text)
    except ValueError:  # too deep for orjson, or not JSON
        pass
    return json_text.read(text, _scalar)


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
        return self.takes(event_type) and self.meets(data)

    def takes(self, event_type: str) -> bool:
        """Whether it wants events of this type, as far as the type decides."""
        return all(types.take(event_type) for types in self.types)

    def meets(self, data: object) -> bool:
        """Whether it wants events with this data, as far as the data decide."""
        return all(condition.holds(data) for condition in self.conditions)


@dataclass(frozen=True, slots=True)
class Unusable:
    """A filter of no shape that we know, which wants nothing; `reason` is for the customer."""

    reason: str


def compile_subscription(
    event_types: tuple[str, ...] | None, event_filters: str | None
) -> Matcher | Unusable:
    """
    What `webhooks.event_types` and `webhooks.event_filters` (JSON text) ask for, or why not.

    Cached: the same subscription is compiled once, not for every event.
    """
    # What is judged here would be dear to look up, or could not be.
    if event_types is not None and (reason := _unfit(event_types)):
        return Unusable(f"event_types: {reason}")
    length = 0 if event_filters is None else len(event_filters)
    if length > LONGEST_TEXT:
        return Unusable(
            f"event_filters: must be at most {LONGEST_TEXT} characters long, as JSON text."
        )
    compiled = _short_compiled if length <= SHORT else _long_compiled
    return compiled(event_types, event_filters)


def _unfit(names: tuple[object, ...]) -> str | None:
    """Why an array of PostgreSQL names no types: it may have more dimensions than one."""
    if len(names) > MOST_TYPES:
        return f"there may be at most {MOST_TYPES}."
    for name in names:
        if name is not None and not isinstance(name, str):
            return f"{_kind(name)} is not an event type."
    if sum(len(name) for name in names if isinstance(name, str)) > LONGEST_TEXT:
        return f"must be at most {LONGEST_TEXT} characters together."
    return None


def _compiled(event_types: tuple[str, ...] | None, event_filters: str | None) -> Matcher | Unusable:
    try:
        filters = parsed(event_filters)
    except ValueError:
        return Unusable("event_filters: this is not JSON.")
    if filters is None:
        filters = {}
    if not isinstance(filters, dict):
        return Unusable(f"event_filters: must be an object, not {_kind(filters)}.")
    try:
        return Matcher(
            (types_named(event_types or ()), types_named(_type_names(filters))),
            tuple(_conditions(filters)),
        )
    except _MisshapenError as error:
        return Unusable(f"event_filters{error}")


# A long filter may take a hundred times the memory of a short one: few of them are kept.
_short_compiled = lru_cache(maxsize=4096)(_compiled)
_long_compiled = lru_cache(maxsize=128)(_compiled)


class _MisshapenError(Exception):
    """Never leaves this file; the message continues the word `event_filters`."""


def types_named(names: Iterable[str]) -> Types:
    """Those of one list; an empty one names them all."""
    names = tuple(names)
    if not names or "*" in names:
        return Types(None)
    # An array of PostgreSQL may hold NULLs, which name no type.
    prefixes = tuple(name[:-1] for name in names if name and name.endswith(".*"))
    return Types(frozenset(names), prefixes)


def _type_names(filters: dict[str, object]) -> list[str]:
    names = filters.get("event_types")
    if names is None:
        return []
    if not isinstance(names, list):
        raise _MisshapenError(f".event_types: must be a list of event types, not {_kind(names)}.")
    if len(names) > MOST_TYPES:
        raise _MisshapenError(f".event_types: there may be at most {MOST_TYPES}.")
    for name in names:
        if not isinstance(name, str):
            raise _MisshapenError(f".event_types: {_kind(name)} is not an event type.")
    return names


def _conditions(filters: dict[str, object]) -> Iterator[Condition]:
    for member, value in filters.items():
        match member:
            case "event_types":
                pass
            case "workspaces":
                yield Condition(WORKSPACE, _ids(member, value))
            case "campaign_ids":
                yield Condition(CAMPAIGN, _ids(member, value))
            case "filters":
                yield from _data_conditions(value)
            case _:
                raise _MisshapenError(
                    f": there is no filter {_quoted(member)}; there are event_types, workspaces, "
                    "campaign_ids and filters."
                )


def _ids(member: str, ids: object) -> frozenset[Key]:
    if not isinstance(ids, list):
        raise _MisshapenError(f".{member}: must be a list, not {_kind(ids)}.")
    if not ids:
        raise _MisshapenError(f".{member}: the list is empty, so no event can match.")
    if len(ids) > MOST_IDS:
        raise _MisshapenError(f".{member}: there may be at most {MOST_IDS}.")
    for each in ids:
        if isinstance(each, dict | list | bool | None):
            raise _MisshapenError(f".{member}: must hold texts or numbers, not {_kind(each)}.")
    return frozenset(map(_key, ids))


def _data_conditions(filters: object) -> Iterator[Condition]:
    if not isinstance(filters, dict):
        raise _MisshapenError(
            f".filters: must be an object of paths and values, not {_kind(filters)}."
        )
    if len(filters) > MOST_PATHS:
        raise _MisshapenError(f".filters: there may be at most {MOST_PATHS} paths.")
    count = 0
    for dotted, wanted in filters.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        count += len(values)
        if count > MOST_VALUES:
            raise _MisshapenError(f".filters: there may be at most {MOST_VALUES} values in all.")
        yield Condition((_path(dotted),), _values(dotted, values))


def _path(dotted: str) -> Path:
    segments = tuple(dotted.split(".", MOST_SEGMENTS))
    if not all(segments):
        raise _MisshapenError(f".filters: {_quoted(dotted)} is not a path as contact.tags is.")
    if len(segments) > MOST_SEGMENTS:
        raise _MisshapenError(
            f".filters: {_quoted(dotted)} is too long: a path has at most {MOST_SEGMENTS} parts."
        )
    return segments


def _values(dotted: str, values: list[object]) -> frozenset[Key]:
    if not values:
        raise _MisshapenError(
            f".filters: the list of {_quoted(dotted)} is empty, so no event can match."
        )
    for value in values:
        if isinstance(value, dict | list):
            raise _MisshapenError(
                f".filters: {_quoted(dotted)} must be a text, a number, true, false, null, or a "
                f"list of these; it has {_kind(value)} inside."
            )
    return frozenset(map(_key, values))


@lru_cache(maxsize=1024)
def _other_spellings(segment: str) -> tuple[str, str]:
    return _camel_case(segment), _snake_case(segment)


def _camel_case(name: str) -> str:
    return re.sub("(?<=[^_])_+([a-z0-9])", lambda found: found[1].upper(), name)


def _snake_case(name: str) -> str:
    return re.sub("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


WORKSPACE = (("workspace_id",), ("workspace", "id"), ("workspace", "name"))
CAMPAIGN = (("campaign_id",), ("campaign", "id"))


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


def _scalar(token: str) -> Scalar:
    match token:
        case "null":
            return None
        case "true" | "false":
            return token == "true"
    if token[0] == '"':
        return json_text.unquoted(token)
    if token.lstrip("-").isdigit() and len(token) < 4300:  # the longest that int() takes
        return int(token)
    double = float(token)
    return Decimal(token) if math.isinf(double) else double


def _quoted(name: str) -> str:
    return f'"{name}"' if len(name) <= 80 else f'"{name[:80]}…"'


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return "a text"
        case dict():
            return "an object"
        case list():
            return "a list"
    return "a number"
