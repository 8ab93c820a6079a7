"""JSON text from the database, inserted into responses without being re-encoded."""

from typing import Any

import orjson

NOT_READABLE = object()


def json_fragment(text: str | None) -> orjson.Fragment | str | None:
    """
    JSON text that a response contains verbatim, digit for digit.

    Numbers beyond doubles and very deep nesting break common JSON parsers. Such text becomes a
    string, because one such row would otherwise make a whole list unreadable.
    """
    if text is None:
        return None
    return text if _parse(text) is NOT_READABLE else orjson.Fragment(text)


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
