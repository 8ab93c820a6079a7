"""JSON as the database prints it, read into Python values without loss."""

import math
import re
from decimal import Decimal

import orjson

from daemon.core.wire import json_reader

Scalar = str | int | float | Decimal | bool | None


# Beyond 64 bits orjson makes a double of an integer, and two ids become one.
LONG_NUMBER = re.compile(r"[\s:,\[]-?[0-9]{19}")


def parsed(text: str | None) -> object:
    """JSON text as `Matcher.wants` takes it; SQL's NULL is null. Raises ValueError if not JSON."""
    if text is None:
        return None
    try:
        if not LONG_NUMBER.search(text):
            return orjson.loads(text)
    except ValueError:  # too deep for orjson, or not JSON
        pass
    return json_reader.read(text, _scalar)


def _scalar(token: str) -> Scalar:
    match token:
        case "null":
            return None
        case "true" | "false":
            return token == "true"
    if token[0] == '"':
        return json_reader.unquoted(token)
    if token.lstrip("-").isdigit() and len(token) < 4300:  # the longest that int() takes
        return int(token)
    double = float(token)
    return Decimal(token) if math.isinf(double) else double
