"""Convert the text of a variable or credential file to the type that TOML would have given it."""

import json
import re
from typing import get_origin

from pydantic.fields import FieldInfo

BOOLEANS = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}


def parse_text(field: FieldInfo, text: str) -> object:
    """Convert `text` for `field`; lists are JSON or comma-separated. Raises ValueError."""
    if get_origin(field.annotation) is tuple:
        return _parse_list(text)
    if get_origin(field.annotation) is dict:
        return _parse_table(text)
    if field.annotation is bool:
        return _parse_boolean(text)
    if field.annotation is int:
        return _parse_integer(text)
    return text


def _parse_boolean(text: str) -> bool:
    if text.lower() not in BOOLEANS:
        raise ValueError("must be true or false")
    return BOOLEANS[text.lower()]


def _parse_integer(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise ValueError("must be a whole number")
    return int(text)


def _parse_table(text: str) -> object:
    try:
        table = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        table = None
    if not isinstance(table, dict):
        raise ValueError('must be a JSON object, such as {"name": ["1m", "1h"]}')  # noqa: TRY004
    return table


def _parse_list(text: str) -> object:
    if not text.startswith("["):
        return [item for part in text.split(",") if (item := part.strip())]
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        raise ValueError("must be a JSON list or comma-separated values") from None
