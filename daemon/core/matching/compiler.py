"""
Which webhooks want an event: the rule of the contract's section 3, and nothing beside it.

A filter that we do not understand wants nothing and says why; it never raises, and never widens
what a customer gets. Nor do we understand one larger than anybody needs: what it costs is
paid on the loop that serves everybody.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from daemon.core.matching.matcher import Condition, Key, Matcher, Path, Types, _key
from daemon.core.wire.json_value import parsed

LONGEST_TEXT = 16 * 1024  # characters, as PostgreSQL prints the filter
MOST_TYPES = 100
MOST_IDS = 1000  # of workspaces, and of campaigns
MOST_PATHS = 100
MOST_SEGMENTS = 16
MOST_VALUES = 1000  # of all paths together

SHORT = 512


@dataclass(frozen=True, slots=True)
class UnusableFilter:
    """A filter of no shape that we know, which wants nothing; `reason` is for the customer."""

    reason: str


def compile_subscription(
    event_types: tuple[str, ...] | None, event_filters: str | None
) -> Matcher | UnusableFilter:
    """
    What `webhooks.event_types` and `webhooks.event_filters` (JSON text) ask for, or why not.

    Cached: the same subscription is compiled once, not for every event.
    """
    # What is judged here would be dear to look up, or could not be.
    if event_types is not None and (reason := _unfit(event_types)):
        return UnusableFilter(f"event_types: {reason}")
    length = 0 if event_filters is None else len(event_filters)
    if length > LONGEST_TEXT:
        return UnusableFilter(
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


def _compiled(
    event_types: tuple[str, ...] | None, event_filters: str | None
) -> Matcher | UnusableFilter:
    try:
        filters = parsed(event_filters)
    except ValueError:
        return UnusableFilter("event_filters: this is not JSON.")
    if filters is None:
        filters = {}
    if not isinstance(filters, dict):
        return UnusableFilter(f"event_filters: must be an object, not {_kind(filters)}.")
    try:
        return Matcher(
            (compile_types(event_types or ()), compile_types(_type_names(filters))),
            tuple(_conditions(filters)),
        )
    except _MisshapenError as error:
        return UnusableFilter(f"event_filters{error}")


# A long filter may take a hundred times the memory of a short one: few of them are kept.
_short_compiled = lru_cache(maxsize=4096)(_compiled)
_long_compiled = lru_cache(maxsize=128)(_compiled)


class _MisshapenError(Exception):
    """Never leaves this file; the message continues the word `event_filters`."""


def compile_types(names: Iterable[str]) -> Types:
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


WORKSPACE = (("workspace_id",), ("workspace", "id"), ("workspace", "name"))
CAMPAIGN = (("campaign_id",), ("campaign", "id"))


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
