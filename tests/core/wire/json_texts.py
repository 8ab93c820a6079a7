"""Strategies for JSON text in every spelling, not only PostgreSQL's."""

import json
from collections.abc import Callable
from decimal import Decimal

from hypothesis import strategies as st

Stringify = Callable[[str], str]

spaces = st.sampled_from(["", "", " ", "\n\t", "\r "])


def is_integer(number: str) -> bool:
    return Decimal(number) == Decimal(number).to_integral_value()


def javascript_keeps(number: str) -> bool:
    """Whether JavaScript prints the value of this number; rounding a fraction is no change."""
    double = float(number)
    if abs(double) == float("inf"):
        return False
    return not is_integer(number) or Decimal(repr(double)) == Decimal(number)


digits = st.text("0123456789", min_size=1, max_size=25)
integers = st.one_of(
    st.integers(),
    st.integers(-(2**53) - 3, 2**53 + 3),
    st.integers(0, 400).map(lambda exponent: 10**exponent),
    st.integers(0, 1030).flatmap(lambda bits: st.integers(-2, 2).map(lambda d: 2**bits + d)),
).map(str)
decimals = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.floats(allow_nan=False, allow_infinity=False).map("{:.17e}".format),
    st.floats(-1e25, 1e25).map("{:.9f}".format),
    st.builds("{}{}.{}".format, st.sampled_from(["", "-"]), st.integers(0), digits),
    st.builds(
        "{}{}e{}{}".format,
        st.integers(-999, 999),
        st.one_of(st.just(""), digits.map(".{}".format)),
        st.sampled_from(["", "+", "-"]),
        st.integers(0, 340),
    ),
    st.sampled_from(["-0", "-0.0", "0e5", "0.000001", "0.0000001", "1E5", "5e-324", "1e-400"]),
)
numbers = st.one_of(integers, decimals)

plain = st.characters(exclude_categories=["Cs"], exclude_characters='"\\').filter(
    lambda character: character >= " "
)
escapes = st.one_of(
    st.sampled_from([r"\"", r"\\", r"\/", r"\b", r"\f", r"\n", r"\r", r"\t"]),
    st.integers(0, 0xFFFF).map("\\u{:04x}".format),
    st.integers(0xD800, 0xDFFF).map("\\u{:04X}".format),
    st.sampled_from([r"\ud83d\ude00", r"\ude00\ud83d", r"\ud83d\ud83d\ude00", "\u2028", "\x7f"]),
)
strings = st.lists(st.text(plain, max_size=6) | escapes, max_size=4).map(
    lambda pieces: f'"{"".join(pieces)}"'
)
# V8 13.6 reads any key that begins with an escape as a backslash, once it has met a backslash as a
# key at the same place (nodejs/node issue 63785). So no key here contains a backslash.
keys = st.one_of(
    strings.filter(lambda string: "\\" not in json.loads(string)),
    st.integers(0, 20).map('"{}"'.format),
    st.integers(2**32 - 4, 2**32 + 1).map('"{}"'.format),
    st.sampled_from(
        ['"__proto__"', '"toJSON"', '"constructor"', '"01"', '"-1"', '"1.5"', r'"\u0031"', '""']
    ),
)


def containers(items: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    lists = st.builds(
        lambda each, space: f"[{space}{f'{space},'.join(each)}]{space}",
        st.lists(items, max_size=4),
        spaces,
    )
    objects = st.builds(
        lambda members, space: f"{space}{{{f',{space}'.join(map(f'{space}:'.join, members))}}}",
        st.lists(st.tuples(keys, items), max_size=6),
        spaces,
    )
    return lists | objects


def texts(numbers: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    leaves = st.one_of(numbers, strings, st.sampled_from(["true", "false", "null"]))
    return st.recursive(leaves, containers, max_leaves=10)
