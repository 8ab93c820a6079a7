"""JSON text from the database, inserted into responses without being re-encoded."""

from typing import Any

import orjson

from daemon.core.wire.json_value import containers_in

NOT_READABLE = object()
MOST_CONTAINERS = 50_000


def json_fragment(text: str | None) -> orjson.Fragment | str | None:
    """
    JSON text that a response contains verbatim, digit for digit.

    Numbers beyond doubles and very deep nesting break common JSON parsers. Such text becomes a
    string, because one such row would otherwise make a whole list unreadable. So does one with more
    arrays and objects than anyone reads, which takes long to parse.
    """
    if text is None:
        return None
    readable = containers_in(text) <= MOST_CONTAINERS and _parse(text) is not NOT_READABLE
    return orjson.Fragment(text) if readable else text


def json_object(text: str | None) -> dict[str, Any]:
    """The members of a column that the application may have written; empty for a non-object."""
    value = None if text is None else _parse(text)
    return value if isinstance(value, dict) else {}


def _parse(text: str) -> object:
    try:
        value: object = orjson.loads(text)
        orjson.dumps(value)  # its depth limit leaves room for the response around the value
    except (ValueError, TypeError):
        return NOT_READABLE
    return value
