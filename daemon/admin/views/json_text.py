"""JSON that the database printed, spliced into an answer without being read."""

from typing import Any

import orjson

NOT_COMMON = object()


def spliced(text: str | None) -> orjson.Fragment | str | None:
    """
    JSON text to stand in an answer digit for digit.

    What common readers refuse, numbers beyond doubles or deep nests, stands there as a text, or
    one such row would make a whole list unreadable.
    """
    if text is None:
        return None
    return text if _json(text) is NOT_COMMON else orjson.Fragment(text)


def _object(text: str | None) -> dict[str, Any]:
    """The members of a column that the application may have filled; none of what is no object."""
    value = None if text is None else _json(text)
    return value if isinstance(value, dict) else {}


def _json(text: str) -> object:
    try:
        value: object = orjson.loads(text)
        orjson.dumps(value)  # the depth that it gives up at leaves readers room for the rest
    except (ValueError, TypeError):
        return NOT_COMMON
    return value
