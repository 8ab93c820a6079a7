"""
Dotted paths into an event's data, by the rule of the contract, section 3.

Each segment is looked up as written, then in its camelCase and snake_case forms. Where a path
leads to an array, it continues in each element.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from daemon.core.wire.json_value import Scalar

Path = tuple[str, ...]  # segments, as written in the filter


def scalars_at(data: object, path: Path) -> Iterator[Scalar]:
    """Yield every scalar at `path` in `data`; nothing when the path is missing."""
    reached: list[object] = [data]
    for segment in path:
        if not reached:
            return
        reached = [
            member
            for value in _with_elements(reached)
            if isinstance(value, dict)
            for member in _members(value, segment)
        ]
    for value in _with_elements(reached):
        if value is None or isinstance(value, Scalar):
            yield value


def _with_elements(values: list[object]) -> Iterator[object]:
    """Yield the values, and the elements of an array in place of the array."""
    for value in values:
        if isinstance(value, list):
            yield from value
        else:
            yield value


def _members(value: dict[str, object], segment: str) -> list[object]:
    """Return the member that `segment` names, as a list of one, or of none if it is missing."""
    if segment in value:
        return [value[segment]]
    for name in _other_spellings(segment):
        if name in value:
            return [value[name]]
    return []


@lru_cache(maxsize=1024)
def _other_spellings(segment: str) -> tuple[str, str]:
    return _camel_case(segment), _snake_case(segment)


def _camel_case(name: str) -> str:
    return re.sub("(?<=[^_])_+([a-z0-9])", lambda found: found[1].upper(), name)


def _snake_case(name: str) -> str:
    return re.sub("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
