"""
JSON printed as JavaScript prints it, so that both ways to verify a signature accept the body.

A receiver that signs `JSON.stringify(JSON.parse(body))` must arrive at exactly the bytes that
were sent (contract, section 1). Three printers do this: orjson for nearly every event, `json` with
hooks where orjson may differ from JavaScript, and a printer without recursion for all other text.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, TypeVar

import orjson

from daemon.core.wire import json_reader
from daemon.core.wire.javascript_number import to_javascript_number

T = TypeVar("T")

# Maps every digit to 0, and both signs to +.
SIMPLIFIED = bytes.maketrans(b"123456789-", b"000000000+")

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
        return print_at_once(text) or _print_with_hooks(text)
    except (ValueError, TypeError, RecursionError):
        # Too deep, a number beyond a double, a lone surrogate; or not JSON at all.
        return _print_without_recursion(text)


def prints_quickly(text: str) -> bool:
    """Whether the quickest printer prints this text; the others take up to 100 times longer."""
    try:
        return print_at_once(text) is not None
    except (ValueError, TypeError):
        return False


def print_at_once(text: str) -> bytes | None:
    """
    Print text by orjson, as `to_javascript_json` does; None where it may differ from JavaScript.

    Raises ValueError or TypeError, too, where it cannot read or print the text.
    """
    printed = orjson.dumps(orjson.loads(text))
    return None if _may_differ(printed) else printed


def _may_differ(printed: bytes) -> bool:
    """
    Whether orjson's output may differ from JavaScript's; a false alarm costs only time.

    Differences come from a key that ends in a digit, as array indexes do; from an exponent, which
    JavaScript begins to use at other powers of ten; and from a double such as 1.0. A regular
    expression takes twice as long to find them.
    """
    simplified = printed.translate(SIMPLIFIED)
    if b'0":' in simplified or b"0e+" in simplified:
        return True
    return b".0" in printed and (
        b".0," in printed or b".0}" in printed or b".0]" in printed or printed.endswith(b".0")
    )


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
    append = pieces.append
    # The open containers around the present one: what is left of each, and what closes it.
    outer: list[tuple[Iterator[Any], str]] = []
    items: Iterator[Any] = iter((json_reader.read(text, _print_scalar),))
    closing = comma = ""
    while True:
        for item in items:
            append(comma)
            if closing == "}":
                key, value = item
                append(_print_string(key))
                append(":")
            else:
                value = item
            if type(value) is str:
                append(value)
                comma = ","
                continue
            outer.append((items, closing))
            comma = ""
            if type(value) is list:
                append("[")
                items, closing = iter(value), "]"
            else:
                append("{")
                items, closing = iter(_in_javascript_order(value).items()), "}"
            break
        else:
            append(closing)
            if not outer:
                return "".join(pieces).encode()
            items, closing = outer.pop()
            comma = ","


def _in_javascript_order(members: dict[str, T]) -> dict[str, T]:
    """Array indexes first, ascending; then the others in their order (ECMA-262, 10.1.11.1)."""
    indexes = sorted(filter(is_array_index, members), key=int)
    return {key: members[key] for key in indexes} | members if indexes else members


def is_array_index(key: str) -> bool:
    """Whether a key is one by which JavaScript orders members."""
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
    if value.isalnum():  # as most keys are
        return f'"{value}"'
    printed = json.dumps(value, ensure_ascii=False)
    return LONE_SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", printed)
