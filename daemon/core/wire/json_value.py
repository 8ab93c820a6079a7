"""JSON text parsed into Python values without loss: long integers keep all their digits."""

import json
import math
import re
from decimal import Decimal

import orjson

from daemon.core.wire import json_reader

Scalar = str | int | float | Decimal | bool | None

LONGEST_INTEGER = 4299  # characters, the sign included; int() takes 4300 digits

# orjson turns an integer beyond 64 bits into a double, and two different ids into equal ones.
LONG_NUMBER = re.compile(r"[\s:,\[]-?[0-9]{19}")
# Numbers that may exceed the greatest double, for which `json` has none, or have more digits than
# int() takes.
GREAT_NUMBER = re.compile(r"[0-9]{300}|[0-9][eE][+-]?[0-9]{3}")


# Parsed, each takes 56 to 232 bytes and more: a million of them are no event's data.
MATCHED_CONTAINERS = 250_000
# What parsers written in C give up on takes microseconds a token.
SLOWLY_PARSED_CHARACTERS = 1024 * 1024


def containers_in(text: str) -> int:
    """How many arrays and objects JSON text has at most; brackets in strings count too."""
    return text.count("[") + text.count("{")


def parse_matched(text: str | None) -> object:
    """
    As `parse_json`; null where that takes too much memory or seconds, so that no condition holds.

    Raises ValueError when `text` is not JSON, unless it is large.
    """
    if text is None or containers_in(text) > MATCHED_CONTAINERS:
        return None
    if len(text) <= SLOWLY_PARSED_CHARACTERS:
        return parse_json(text)
    try:
        return _parse_quickly(text)
    except (ValueError, RecursionError):
        return None


def parse_json(text: str | None) -> object:
    """
    Return the value of JSON text, for `Matcher.matches`; None (SQL's NULL) is null.

    Numbers are int or float, and Decimal beyond the greatest double. Raises ValueError when
    `text` is not JSON.
    """
    if text is None:
        return None
    try:
        return _parse_quickly(text)
    except (ValueError, RecursionError):  # too deep or too great for these parsers, or not JSON
        return json_reader.read(text, _convert_scalar)


def _parse_quickly(text: str) -> object:
    """Raises ValueError and RecursionError."""
    if not LONG_NUMBER.search(text):
        return orjson.loads(text)
    if not GREAT_NUMBER.search(text):
        return json.loads(text, parse_constant=_refuse)
    raise ValueError("a number is too great")


def _refuse(constant: str) -> None:
    """Refuse NaN and Infinity, which `json` would accept. Raises ValueError."""
    raise ValueError(f"{constant} is not JSON")


def _convert_scalar(token: str) -> Scalar:
    match token:
        case "null":
            return None
        case "true" | "false":
            return token == "true"
    if token[0] == '"':
        return json_reader.unquote(token)
    if token.lstrip("-").isdigit() and len(token) <= LONGEST_INTEGER:
        return int(token)
    double = float(token)
    return Decimal(token) if math.isinf(double) else double
