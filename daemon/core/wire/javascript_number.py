"""
JSON numbers as JavaScript prints them, except those that JavaScript would change.

Number::toString is ECMA-262, section 6.1.6.1.20. The exceptions are those of the contract,
section 1: integers beyond 2^53 keep all their digits.
"""

import math
from decimal import Decimal

LAST_SAFE_INTEGER = 2**53 - 1  # ECMA-262: Number.MAX_SAFE_INTEGER


def to_javascript_number(token: str) -> str:
    """
    Print a JSON number token as `JSON.stringify` would.

    Two kinds of token keep their digits: integers that a double does not hold exactly, and
    numbers beyond the greatest double, which JavaScript would turn into null.
    """
    if len(token) <= 15 and (token.isdigit() or token[1:].isdigit()) and token != "-0":
        return token
    double = float(token)
    if math.isinf(double):
        return token
    if abs(double) > LAST_SAFE_INTEGER:
        return _print_large(token, double)
    return _print_double(double)


def _print_large(token: str, double: float) -> str:
    if abs(double) < 1e21 and token.lstrip("-").isdigit():
        return token  # JavaScript prints the same digits, or different ones that would be wrong
    exact, printed = Decimal(token), _print_double(double)
    integer = exact.to_integral_value()
    return f"{integer:f}" if integer == exact != Decimal(printed) else printed


def _print_double(double: float) -> str:
    """Number::toString: the shortest digits that identify this double, and the decimal point."""
    if double == 0:
        return "0"
    shortest = repr(double)
    if "e" not in shortest:  # Python uses exponents wherever JavaScript does, and more often
        return shortest.removesuffix(".0")
    sign, numerals, exponent = Decimal(shortest).normalize().as_tuple()
    assert isinstance(exponent, int)
    return "-" * sign + _place_point("".join(map(str, numerals)), len(numerals) + exponent)


def _place_point(digits: str, point: int) -> str:
    """`point` counts the digits before the decimal point; it is `n` in ECMA-262."""
    if len(digits) <= point <= 21:
        return digits.ljust(point, "0")
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    fraction = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{fraction}e{point - 1:+d}"
