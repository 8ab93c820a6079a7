"""
Dotted paths into an event's data, by the rule of the contract, section 3.

Each segment is looked up as written, then in its camelCase and snake_case forms. Where a path
leads to an array, it continues in each element.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

from daemon.core.wire.json_value import Scalar

Path = tuple[str, ...]  # segments, as written in the filter


def scalars_at(data: object, path: Path) -> Iterator[Scalar]:
    """Yield every scalar at `path` in `data`; nothing when the path is missing."""
    reached: list[object] = [data]
    for segment in path:
        if not reached:
            return
        reached = members_of(objects_in(reached), segment)
    yield from scalars_in(reached)


def objects_in(values: Iterable[object]) -> list[dict[str, object]]:
    """Return the objects among the values, and among the elements of their arrays."""
    return [value for value in _with_elements(values) if isinstance(value, dict)]


def scalars_in(values: Iterable[object]) -> Iterator[Scalar]:
    """Yield the scalars among the values, and among the elements of their arrays."""
    for value in _with_elements(values):
        if value is None or isinstance(value, Scalar):
            yield value


def members_of(objects: Iterable[dict[str, object]], segment: str) -> list[object]:
    """Return the member that `segment` names of each of the objects that have it."""
    return [member for value in objects for member in _member(value, segment)]


@lru_cache(maxsize=1024)
def other_spellings(segment: str) -> tuple[str, str]:
    """Return the segment in camelCase and in snake_case."""
    return _camel_case(segment), _snake_case(segment)


def _with_elements(values: Iterable[object]) -> Iterator[object]:
    """Yield the values, and the elements of an array in place of the array."""
    for value in values:
        if isinstance(value, list):
            yield from value
        else:
            yield value


def _member(value: dict[str, object], segment: str) -> list[object]:
    """Return the member that `segment` names, as a list of one, or of none if it is missing."""
    if segment in value:
        return [value[segment]]
    for name in other_spellings(segment):
        if name in value:
            return [value[name]]
    return []


def _camel_case(name: str) -> str:
    return re.sub("(?<=[^_])_+([a-z0-9])", lambda found: found[1].upper(), name)


def _snake_case(name: str) -> str:
    return re.sub("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
