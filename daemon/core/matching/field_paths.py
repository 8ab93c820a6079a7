"""
The dotted paths in an event's data that a filter can name, with the values to which they lead.

The rule: whatever the data are, a bounded number of values is looked at.
"""

from collections.abc import Iterator

from daemon.core.matching.limits import MOST_SEGMENTS

MOST_VALUES = 500  # of one event
MOST_ELEMENTS = 20  # of one array
LONGEST_PATH = 128  # characters

Found = tuple[str, str | float | bool | None]


def fields_in(data: object) -> Iterator[Found]:
    """Yield each path with each of its values that is a string, a number, true, false or null."""
    rest: list[tuple[tuple[str, ...], object]] = [((), data)]
    for _ in range(MOST_VALUES):
        if not rest:
            return
        path, value = rest.pop()
        if isinstance(value, dict):
            rest += [((*path, name), inner) for name, inner in value.items() if _is_segment(name)]
        elif isinstance(value, list):
            rest += [(path, inner) for inner in value[:MOST_ELEMENTS]]
        elif (
            0 < len(path) <= MOST_SEGMENTS
            and len(name := ".".join(path)) <= LONGEST_PATH
            and (value is None or isinstance(value, str | int | float))
        ):
            yield name, value


def _is_segment(name: str) -> bool:
    return 0 < len(name) <= LONGEST_PATH and "." not in name and "\0" not in name
