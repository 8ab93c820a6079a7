"""
How much memory parts of a subscription take, in bytes: about, and rather too much than too little.

Values are measured one by one: a filter of 16 KiB may be one string, or three thousand.
"""

from collections.abc import Iterable
from sys import getsizeof

from daemon.core.matching.event_data import value_of
from daemon.core.matching.matcher import Condition, TypePatterns
from daemon.core.matching.paths import other_spellings

OBJECTS = 250  # a condition or a list of types without what it contains
SEGMENT = 1200  # of an indexed path: the dictionaries of its node
ENTRY = 200  # an entry of a dictionary or a set, with the room in which tables grow


def of_condition(condition: Condition) -> int:
    """A condition, wherever it is kept."""
    segments = (segment for path in condition.paths for segment in path)
    boxed = (value_of(key) for key in condition.values if isinstance(key, tuple))
    return (
        OBJECTS + getsizeof(condition.values) + sum(map(_of, (condition.values, boxed, segments)))
    )


def of_types(types: Iterable[TypePatterns]) -> int:
    """The lists of types of one subscription."""
    return sum(
        OBJECTS + getsizeof(each.names) + _of(each.names or ()) + _of(each.prefixes)
        for each in types
    )


def of_segment(segment: str) -> int:
    """The node of one segment of an indexed path."""
    return SEGMENT + _of((segment, *other_spellings(segment)))


def _of(values: Iterable[object]) -> int:
    return sum(map(getsizeof, values))
