"""
JSON printed as JavaScript prints it, so that both ways to verify a signature accept the body.

A receiver that signs `JSON.stringify(JSON.parse(body))` must arrive at exactly the bytes that
were sent (contract, section 1). Three printers do this: orjson for nearly every event, `json` with
hooks where orjson may differ from JavaScript, and a printer without recursion for all other text.
"""

import json
import re
from typing import TypeVar

import orjson

from daemon.core.wire import json_reader
from daemon.core.wire.javascript_number import to_javascript_number

T = TypeVar("T")

# Maps every digit to 0, both signs to +, and every end of a value to a comma.
SIMPLIFIED = bytes.maketrans(b"123456789-]}", b"000000000+,,")

ARRAY_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
LAST_ARRAY_INDEX = 2**32 - 2  # ECMA-262: 2**32 - 1 is the greatest length, hence no index

LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def to_javascript_json(text: str) -> bytes:
    """
    Return `JSON.stringify(JSON.parse(text))` as UTF-8, but for numbers that it would change.

    Such a number keeps its digits: see `to_javascript_number`. Raises ValueError when `text` is
    not JSON.
    """
    try:
        printed = orjson.dumps(orjson.loads(text))
        return _print_with_hooks(text) if _may_differ(printed) else printed
    except (ValueError, TypeError, RecursionError):
        # Too deep, a number beyond a double, a lone surrogate; or not JSON at all.
        return _print_without_recursion(text)


def _may_differ(printed: bytes) -> bool:
    """
    Whether orjson's output may differ from JavaScript's; a false alarm costs only time.

    Differences come from a key that ends in a digit, as array indexes do; from an exponent, which
    JavaScript begins to use at other powers of ten; and from a double with one digit after the
    point, which may be 1.0. A regular expression takes twice as long to find them.
    """
    simplified = printed.translate(SIMPLIFIED) + b","
    return b'0":' in simplified or b"0e+" in simplified or b".0," in simplified


def _print_with_hooks(text: str) -> bytes:
    return orjson.dumps(
        json.loads(
            text,
            parse_int=_integer,
            parse_float=_fraction,
            object_pairs_hook=lambda pairs: _in_javascript_order(dict(pairs)),
        )
    )


def _integer(token: str) -> int | orjson.Fragment:
    return int(token) if len(token) <= 18 else orjson.Fragment(to_javascript_number(token))


def _fraction(token: str) -> float | int | orjson.Fragment:
    """A Python number where orjson prints it as JavaScript does, since that is quicker."""
    double = float(token)
    if 1e-4 <= abs(double) < 1e15:
        return int(double) if double.is_integer() else double
    return orjson.Fragment(to_javascript_number(token))


def _print_without_recursion(text: str) -> bytes:
    pieces: list[str] = []
    pending: list[json_reader.Tree] = [json_reader.read(text, _print_scalar)]
    while pending:
        node = pending.pop()
        if isinstance(node, str):
            pieces.append(node)
        elif isinstance(node, list):
            pending.extend(_list_parts(node)[::-1])
        elif isinstance(node, dict):
            pending.extend(_object_parts(node)[::-1])
    return "".join(pieces).encode()


def _list_parts(items: list[json_reader.Tree]) -> list[json_reader.Tree]:
    parts: list[json_reader.Tree] = ["["]
    for item in items:
        parts += (item, ",")
    parts[len(parts) - 1 if items else 1 :] = ["]"]
    return parts


def _object_parts(members: dict[str, json_reader.Tree]) -> list[json_reader.Tree]:
    parts: list[json_reader.Tree] = ["{"]
    for key, value in _in_javascript_order(members).items():
        parts += (_print_string(key), ":", value, ",")
    parts[len(parts) - 1 if members else 1 :] = ["}"]
    return parts


def _in_javascript_order(members: dict[str, T]) -> dict[str, T]:
    """Array indexes first, ascending; then the others in their order (ECMA-262, 10.1.11.1)."""
    indexes = sorted(filter(_is_array_index, members), key=int)
    return {key: members[key] for key in indexes} | members if indexes else members


def _is_array_index(key: str) -> bool:
    if not key.isdecimal():  # false for most keys, and quick
        return False
    return ARRAY_INDEX.fullmatch(key) is not None and int(key) <= LAST_ARRAY_INDEX


def _print_scalar(token: str) -> str:
    if token[0] == '"':
        # A string without an escape is already as JavaScript prints it.
        return token if "\\" not in token else _print_string(json_reader.unquote(token))
    return token if token[0] in "tfn" else to_javascript_number(token)


def _print_string(value: str) -> str:
    """Lone surrogates are escaped, as ECMA-262's QuoteJSONString does (section 25.5.2.3)."""
    printed = json.dumps(value, ensure_ascii=False)
    return LONE_SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", printed)
