"""
What must never be written down, and what is written in its place.

Hidden are values under keys that name secrets, in every URL the user, password, query and
fragment, and the inside of objects of unknown types.
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

DEEPEST = 5  # levels of nesting that are written; also what ends a circle

_SECRET_KEY = re.compile(
    r"secret|passw|token|authori[sz]ation|cookie|signature|credential|(?:api|master|private)_?key",
    re.IGNORECASE,
)
_URL_KEY = re.compile(r"(?:url|uri|dsn|location|referer)$", re.IGNORECASE)
# The scheme's length is bounded: without that, a long word costs the square of its length.
_URL = re.compile(r"""([a-z0-9+.-]{0,30})://([^\s"'<>\\]*)""", re.IGNORECASE)
_GOOD_HOST = re.compile(r"(?:\[[^\]]*\]|[^:\[\]]*)(?::[0-9]*)?")
_BEHIND_HOST = re.compile(r"[/?#]")
_BEHIND_PATH = re.compile(r"[?#]")

# What ends a line, controls a terminal, turns the direction of text; lone surrogates.
_UNPRINTABLE = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+"
)

# asyncpg quotes the value behind this.
_ARGUMENT = re.compile(r"(invalid input for query argument \$\d+).*", re.DOTALL)

_AS_TEXT = (UUID, StrEnum, PurePath, IPv4Address, IPv6Address, IPv4Network, IPv6Network)

_SCALARS: set[type] = {NoneType, bool, int, float, str, datetime, UUID}


def without_secrets(text: str) -> str:
    """Take user, password, query and fragment out of every URL in `text`."""
    return _URL.sub(_plain_url, text) if "://" in text else text


def one_line(text: str, *, longest: int = 300) -> str:
    """Somebody else's words: printable, on one line, of bounded length, without URLs' secrets."""
    line = " ".join(_UNPRINTABLE.sub(" ", without_secrets(text)).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def is_flat(fields: EventDict) -> bool:
    """Whether only a URL inside a text could hold a secret: the usual line, told apart cheaply."""
    return _SCALARS.issuperset(map(type, fields.values())) and _hides_nothing(tuple(fields))


def clean(fields: EventDict) -> dict[str, Any]:
    """Return what may be written of `fields`, with every value one that JSON has."""
    return {key: _member(key, value, 0) for key, value in fields.items()}


def plain(value: object, depth: int = 0) -> object:
    """
    Turn a value into what JSON has, without secrets.

    An object of an unknown type gives only its type's name, because its repr may show a secret.
    """
    if isinstance(value, _AS_TEXT):
        if isinstance(value, UUID | StrEnum):
            _SCALARS.add(type(value))  # asyncpg's own UUID, a Fault: next time the short way
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
            text = f"{type(value).__name__}: {message_of(value)}"
        case _:
            text = f"<{type(value).__name__}>"
    return without_secrets(text)


def message_of(error: BaseException) -> str:
    """
    What an error says of itself, without the rows and values that PostgreSQL and asyncpg quote.

    Told apart by its module, for to know asyncpg's types is to import it.
    """
    if not type(error).__module__.startswith("asyncpg"):
        return str(error)
    said = str(error.args[0]).partition("\n")[0] if error.args else ""
    known = {name: getattr(error, name, None) for name in ("sqlstate", "constraint_name")}
    where = ", ".join(f"{name} {value}" for name, value in known.items() if value)
    return _ARGUMENT.sub(r"\1", said) + (f" ({where})" if where else "")


@lru_cache(maxsize=1024)  # Sets of keys are written in the program, so they are few.
def _hides_nothing(keys: tuple[str, ...]) -> bool:
    return not any(map(_hider, keys))


def _plain_url(url: re.Match[str]) -> str:
    scheme, rest = url.groups()
    authority = _BEHIND_HOST.split(rest, maxsplit=1)[0]
    behind = rest[len(authority) :]
    host = authority.rpartition("@")[2]
    # A / ? # or @ that was not encoded: what looks like a host or path is a piece of the password.
    torn = not all(map(_GOOD_HOST.fullmatch, host.split(",")))
    if torn or ("@" in behind and not scheme.lower().startswith("http")):
        return f"{scheme}://{HIDDEN}"
    return f"{scheme}://{host}{_BEHIND_PATH.split(behind, maxsplit=1)[0]}"


@lru_cache(maxsize=1024)
def _hider(key: str) -> Callable[[object], object] | None:
    if _SECRET_KEY.search(key):
        return lambda _: HIDDEN
    return _cut_query if _URL_KEY.search(key) else None


def _cut_query(value: object) -> object:
    """Clean a URL that may lack its scheme."""
    return _BEHIND_PATH.split(without_secrets(str(plain(value))), maxsplit=1)[0]


def _nested(value: object, depth: int) -> object:
    if depth > DEEPEST:
        return "…"
    if isinstance(value, Mapping):
        return {str(key): _member(str(key), value[key], depth) for key in value}
    assert isinstance(value, list | tuple | set | frozenset)
    return [plain(item, depth) for item in value]


def _member(key: str, value: object, depth: int) -> object:
    hide = _hider(key)
    return plain(value, depth) if hide is None or value is None else hide(value)
