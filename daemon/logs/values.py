"""
Convert an event's fields to JSON values without secrets.

Redacted are values whose keys name secrets, the secret parts of every URL, and the content of
objects of unknown types.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import PurePath
from types import NoneType
from typing import Any
from uuid import UUID

from structlog.typing import EventDict

from daemon.core.model.secrets import HIDDEN
from daemon.logs.error_messages import error_message
from daemon.logs.urls import without_query, without_secrets

DEEPEST = 5  # levels of nesting that are written; this also ends a cycle

_SECRET_KEY = re.compile(
    r"secret|passw|token|authori[sz]ation|cookie|signature|credential|(?:api|master|private)_?key",
    re.IGNORECASE,
)
_URL_KEY = re.compile(r"(?:url|uri|dsn|location|referer)$", re.IGNORECASE)

_AS_TEXT = (UUID, StrEnum, PurePath, IPv4Address, IPv6Address, IPv4Network, IPv6Network)

# Types that orjson writes itself; `to_json_value` adds subclasses as it meets them.
_SCALARS: set[type] = {NoneType, bool, int, float, str, datetime, UUID}


def is_flat(fields: EventDict) -> bool:
    """Return whether only a URL within a text could be secret: a cheap test for the usual line."""
    return _SCALARS.issuperset(map(type, fields.values())) and not _any_redacted(tuple(fields))


def redact_fields(fields: EventDict) -> dict[str, Any]:
    """Return the fields as JSON values without secrets."""
    return {key: _redact_member(key, value, 0) for key, value in fields.items()}


def to_json_value(value: object, depth: int = 0) -> object:
    """
    Convert `value` to a JSON value without secrets.

    An object of an unknown type becomes its type's name, because its repr may show a secret.
    """
    if isinstance(value, _AS_TEXT):
        if isinstance(value, UUID | StrEnum):
            _SCALARS.add(type(value))  # asyncpg's UUID, a FailureKind: flat from the next time on
        return str(value)
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return _nested(value, depth + 1)
    match value:
        case None | bool() | int() | float() | datetime():
            return value
        case timedelta():
            return value.total_seconds()
        case str():
            text = str(value)
        case BaseException():
            text = f"{type(value).__name__}: {error_message(value)}"
        case _:
            text = f"<{type(value).__name__}>"
    return without_secrets(text)


def _nested(value: object, depth: int) -> object:
    if depth > DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {str(key): _redact_member(str(key), value[key], depth) for key in value}
    assert isinstance(value, list | tuple | set | frozenset)
    return [to_json_value(item, depth) for item in value]


def _redact_member(key: str, value: object, depth: int) -> object:
    redact = _redaction_of(key)
    return to_json_value(value, depth) if redact is None or value is None else redact(value)


@lru_cache(maxsize=1024)
def _redaction_of(key: str) -> Callable[[object], object] | None:
    if _SECRET_KEY.search(key):
        return lambda _: HIDDEN
    if _URL_KEY.search(key):
        return lambda value: without_query(str(to_json_value(value)))
    return None


@lru_cache(maxsize=1024)  # Sets of keys are written in the program, so there are few.
def _any_redacted(keys: tuple[str, ...]) -> bool:
    return any(map(_redaction_of, keys))
