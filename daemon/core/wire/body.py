"""
The bytes of a body as JavaScript would print them, so that both ways to verify them hold.

A receiver that signs what `JSON.stringify(JSON.parse(body))` gives must arrive at the very bytes
that were sent. The one exception: an integer that JavaScript cannot hold keeps all its digits.
"""

import json
import math
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

import orjson

from daemon.core.wire import json_reader
from daemon.core.wire.event_ids import public_event_id

T = TypeVar("T")

# Zero stands for every digit, plus for both signs, a comma for every end.
COARSE = bytes.maketrans(b"123456789-]}", b"000000000+,,")

ARRAY_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
LAST_ARRAY_INDEX = 2**32 - 2  # ECMA-262: 2**32 - 1 is the greatest length, hence no index

LONE_SURROGATE = re.compile("[\ud800-\udfff]")
LAST_SAFE_INTEGER = 2**53 - 1


def event_body(
    event_id: UUID,
    event_type: str,
    created_at: datetime,
    data: str | None,
    *,
    public_id: str | None = None,
) -> bytes:
    """
    The body of one event, the same bytes at every call.

    `data` is JSON text, as PostgreSQL prints jsonb; None stands for SQL's NULL and is sent as
    null. `created_at` must be aware. `public_id` replaces `evt_<hex>`; test events have their own.
    Raises ValueError when `data` is not JSON.
    """
    head = {
        "id": public_id or public_event_id(event_id),
        "type": event_type,
        "created_at": _instant(created_at),
    }
    tail = b"null" if data is None else to_javascript(data)
    return orjson.dumps(head)[:-1] + b',"data":' + tail + b"}"


def to_javascript(text: str) -> bytes:
    """
    `JSON.stringify(JSON.parse(text))`, but for the numbers that JavaScript would spoil.

    These keep their digits: integers that a double does not hold exactly, and whatever is beyond
    the greatest double (JavaScript would make it null). Raises ValueError when `text` is not JSON.
    """
    try:
        printed = orjson.dumps(orjson.loads(text))
        return _with_care(text) if _may_differ(printed) else printed
    except (ValueError, TypeError, RecursionError):
        # Too deep, beyond a double, a lone surrogate; or not JSON at all.
        return _at_any_depth(text)


def _may_differ(printed: bytes) -> bool:
    """
    Whether orjson may have printed something otherwise than JavaScript does; a hit costs only time.

    It is either a key that ends in a digit, as array indexes do; an exponent, which JavaScript
    begins to use at other powers of ten; or a double with one digit after the point, which may be
    1.0. A regular expression takes twice as long to find them.
    """
    coarse = printed.translate(COARSE) + b","
    return b'0":' in coarse or b"0e+" in coarse or b".0," in coarse


def _instant(moment: datetime) -> str:
    """RFC 3339 in UTC, with the significant digits of its fraction."""
    if moment.tzinfo is None:
        raise ValueError("created_at has no time zone")
    printed = moment.astimezone(UTC).isoformat()[: -len("+00:00")]
    return f"{printed.rstrip('0') if '.' in printed else printed}Z"


def _with_care(text: str) -> bytes:
    return orjson.dumps(
        json.loads(
            text,
            parse_int=_integer,
            parse_float=_fraction,
            object_pairs_hook=lambda pairs: _in_order(dict(pairs)),
        )
    )


def _integer(token: str) -> int | orjson.Fragment:
    return int(token) if len(token) <= 18 else orjson.Fragment(_number(token))


def _fraction(token: str) -> float | int | orjson.Fragment:
    """What orjson prints as JavaScript does, where there is such a thing: it is quicker."""
    double = float(token)
    if 1e-4 <= abs(double) < 1e15:
        return int(double) if double.is_integer() else double
    return orjson.Fragment(_number(token))


def _at_any_depth(text: str) -> bytes:
    pieces: list[str] = []
    rest: list[json_reader.Tree] = [json_reader.read(text, _leaf)]
    while rest:
        node = rest.pop()
        if isinstance(node, str):
            pieces.append(node)
        elif isinstance(node, list):
            rest.extend(_list_parts(node)[::-1])
        elif isinstance(node, dict):
            rest.extend(_object_parts(node)[::-1])
    return "".join(pieces).encode()


def _list_parts(items: list[json_reader.Tree]) -> list[json_reader.Tree]:
    parts: list[json_reader.Tree] = ["["]
    for item in items:
        parts += (item, ",")
    parts[len(parts) - 1 if items else 1 :] = ["]"]
    return parts


def _object_parts(members: dict[str, json_reader.Tree]) -> list[json_reader.Tree]:
    parts: list[json_reader.Tree] = ["{"]
    for key, value in _in_order(members).items():
        parts += (_string(key), ":", value, ",")
    parts[len(parts) - 1 if members else 1 :] = ["}"]
    return parts


def _in_order(members: dict[str, T]) -> dict[str, T]:
    """Array indexes first, ascending; then the others as they came (ECMA-262, 10.1.11.1)."""
    indexes = sorted(filter(_is_array_index, members), key=int)
    return {key: members[key] for key in indexes} | members if indexes else members


def _is_array_index(key: str) -> bool:
    if not key.isdecimal():  # as most keys, and this is quick
        return False
    return ARRAY_INDEX.fullmatch(key) is not None and int(key) <= LAST_ARRAY_INDEX


def _leaf(token: str) -> str:
    if token[0] == '"':
        # Without an escape a string is already as JavaScript prints it.
        return token if "\\" not in token else _string(json_reader.unquoted(token))
    return token if token[0] in "tfn" else _number(token)


def _string(value: str) -> str:
    printed = json.dumps(value, ensure_ascii=False)
    return LONE_SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", printed)


def _number(token: str) -> str:
    if len(token) <= 15 and (token.isdigit() or token[1:].isdigit()) and token != "-0":
        return token
    double = float(token)
    if math.isinf(double):
        return token
    if abs(double) > LAST_SAFE_INTEGER:
        return _large_number(token, double)
    return _double(double)


def _large_number(token: str, double: float) -> str:
    """An integer that JavaScript would print as another one keeps its digits."""
    if abs(double) < 1e21 and token.lstrip("-").isdigit():
        return token  # either JavaScript prints these very digits, or they are to be kept
    exact, printed = Decimal(token), _double(double)
    whole = exact.to_integral_value()
    return f"{whole:f}" if whole == exact != Decimal(printed) else printed


def _double(double: float) -> str:
    """ECMA-262, 6.1.6.1.20: the shortest digits that mean this double, and where the point is."""
    if double == 0:
        return "0"
    shortest = repr(double)
    if "e" not in shortest:  # Python uses exponents wherever JavaScript does, and more often
        return shortest.removesuffix(".0")
    sign, numerals, exponent = Decimal(shortest).normalize().as_tuple()
    assert isinstance(exponent, int)
    return "-" * sign + _placed("".join(map(str, numerals)), len(numerals) + exponent)


def _placed(digits: str, point: int) -> str:
    if len(digits) <= point <= 21:
        return digits.ljust(point, "0")
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{point - 1:+d}"
