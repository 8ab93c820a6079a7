"""
The JSON of `webhooks.event_filters`, validated and turned into type patterns and conditions.

The application may write anything into the column, so every shape, type and size is checked here.
"""

from collections.abc import Iterator

from daemon.core.matching.event_data import ComparisonKey, comparison_keys
from daemon.core.matching.limits import (
    MOST_IDS,
    MOST_PATHS,
    MOST_SEGMENTS,
    MOST_TYPES,
    MOST_VALUES,
)
from daemon.core.matching.matcher import Condition
from daemon.core.matching.paths import Path

WORKSPACE_PATHS = (("workspace_id",), ("workspace", "id"), ("workspace", "name"))
CAMPAIGN_PATHS = (("campaign_id",), ("campaign", "id"))
# The members that stand for several paths.
MEMBERS: dict[tuple[Path, ...], str] = {
    WORKSPACE_PATHS: "workspaces",
    CAMPAIGN_PATHS: "campaign_ids",
}


# Built once: `dict | list | None` within a loop costs more than the comparison.
_NO_SCALARS = (dict, list)
_NO_IDS = (dict, list, bool, type(None))


class MalformedFilterError(Exception):
    """A filter has the wrong shape; the message continues the words `event_filters`."""


def type_names(filters: dict[str, object]) -> list[str]:
    """Return the names and wildcards in `event_types`. Raises MalformedFilterError."""
    names = filters.get("event_types")
    if names is None:
        return []
    if not isinstance(names, list):
        raise MalformedFilterError(
            f".event_types: must be a list of event types, not {kind_of(names)}."
        )
    if len(names) > MOST_TYPES:
        raise MalformedFilterError(f".event_types: at most {MOST_TYPES} entries are allowed.")
    for name in names:
        if not isinstance(name, str):
            raise MalformedFilterError(f".event_types: {kind_of(name)} is not an event type.")
    return names


def conditions(filters: dict[str, object]) -> Iterator[Condition]:
    """Yield the conditions on an event's data. Raises MalformedFilterError."""
    for member, value in filters.items():
        match member:
            case "event_types":
                pass
            case "workspaces":
                yield Condition(WORKSPACE_PATHS, _ids(member, value))
            case "campaign_ids":
                yield Condition(CAMPAIGN_PATHS, _ids(member, value))
            case "filters":
                yield from _path_conditions(value)
            case _:
                raise MalformedFilterError(
                    f": there is no filter {_quoted(member)}; there are event_types, workspaces, "
                    "campaign_ids and filters."
                )


def kind_of(value: object) -> str:
    """Return what a JSON value is, for a message: `a list`, `null`, `true`, …"""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return "a string"
        case dict():
            return "an object"
        case list():
            return "a list"
    return "a number"


def _ids(member: str, ids: object) -> frozenset[ComparisonKey]:
    if not isinstance(ids, list):
        raise MalformedFilterError(f".{member}: must be a list, not {kind_of(ids)}.")
    if not ids:
        raise MalformedFilterError(f".{member}: the list is empty, so no event can match.")
    if len(ids) > MOST_IDS:
        raise MalformedFilterError(f".{member}: at most {MOST_IDS} entries are allowed.")
    for each in ids:
        if isinstance(each, _NO_IDS):
            raise MalformedFilterError(
                f".{member}: must contain strings or numbers, not {kind_of(each)}."
            )
    return comparison_keys(ids)


def _path_conditions(filters: object) -> Iterator[Condition]:
    if not isinstance(filters, dict):
        raise MalformedFilterError(
            f".filters: must be an object of paths and values, not {kind_of(filters)}."
        )
    if len(filters) > MOST_PATHS:
        raise MalformedFilterError(f".filters: at most {MOST_PATHS} paths are allowed.")
    count = 0
    for dotted, wanted in filters.items():
        values = wanted if isinstance(wanted, list) else [wanted]
        count += len(values)
        if count > MOST_VALUES:
            raise MalformedFilterError(
                f".filters: at most {MOST_VALUES} values are allowed in all."
            )
        yield Condition((_path(dotted),), _values(dotted, values))


def _path(dotted: str) -> Path:
    segments = tuple(dotted.split(".", MOST_SEGMENTS))
    if not all(segments):
        raise MalformedFilterError(
            f".filters: {_quoted(dotted)} is not a path such as contact.tags."
        )
    if len(segments) > MOST_SEGMENTS:
        raise MalformedFilterError(
            f".filters: {_quoted(dotted)} is too long: a path has at most {MOST_SEGMENTS} parts."
        )
    return segments


def _values(dotted: str, values: list[object]) -> frozenset[ComparisonKey]:
    if not values:
        raise MalformedFilterError(
            f".filters: the list of {_quoted(dotted)} is empty, so no event can match."
        )
    for value in values:
        if isinstance(value, _NO_SCALARS):
            raise MalformedFilterError(
                f".filters: {_quoted(dotted)} must be a string, a number, true, false, null, or a "
                f"list of these, but contains {kind_of(value)}."
            )
    return comparison_keys(values)


def _quoted(name: str) -> str:
    return f'"{name}"' if len(name) <= 80 else f'"{name[:80]}…"'
