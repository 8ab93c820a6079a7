"""Numbers as people read them."""

from math import floor


def count(number: int) -> str:
    """`1,247`."""
    return f"{number:,}"


def percent(fraction: float | None) -> str:
    """`63 %`, `99.98 %`, rounded down, so that 100 % is all; a dash for None."""
    if fraction is None:
        return "—"
    hundredths = floor(fraction * 10_000 + 1e-6)
    is_nearly_all = 9900 <= hundredths < 10_000
    return f"{hundredths / 100:.2f} %" if is_nearly_all else f"{hundredths // 100} %"
