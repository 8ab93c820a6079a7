"""
Dotted paths into an event's data, by the rule of the contract, section 3.

Each segment is looked up as written, then in its camelCase and snake_case forms. Where a path
leads to an array, it continues in each element.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

Path = tuple[str, ...]  # segments, as written in the filter

SHORT = 100  # characters; the spellings of a longer segment take too much memory to be kept


def elements(values: Iterable[object]) -> Iterator[object]:
    """Yield the values, and the elements of an array in place of the array."""
    for value in values:
        if isinstance(value, list):
            yield from value
        else:
            yield value


def members_of(objects: Iterable[dict[str, object]], segment: str) -> list[object]:
    """Return the member that `segment` names of each of the objects that have it."""
    others = other_spellings(segment)
    return [member for value in objects for member in _member(value, segment, others)]


def other_spellings(segment: str) -> tuple[str, str]:
    """Return the segment in camelCase and in snake_case."""
    return _short_spellings(segment) if len(segment) <= SHORT else _spellings(segment)


def _spellings(segment: str) -> tuple[str, str]:
    return _camel_case(segment), _snake_case(segment)


_short_spellings = lru_cache(maxsize=1024)(_spellings)


def _member(value: dict[str, object], segment: str, others: tuple[str, str]) -> list[object]:
    """Return the member that `segment` names, as a list of one, or of none if it is missing."""
    if segment in value:
        return [value[segment]]
    for name in others:
        if name in value:
            return [value[name]]
    return []


def _camel_case(name: str) -> str:
    return re.sub("(?<=[^_])_+([a-z0-9])", lambda found: found[1].upper(), name)


def _snake_case(name: str) -> str:
    return re.sub("(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
