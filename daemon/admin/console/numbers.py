"""Numbers as people read them."""

from math import floor


def count(number: int) -> str:
    """`1,247`."""
    return f"{number:,}"


def percent(fraction: float | None) -> str:
    """`99.98 %`, rounded down, so that 100 % is all; a dash for None."""
    if fraction is None:
        return "—"
    hundredths = floor(fraction * 10_000 + 1e-6)
    text = (
        f"{hundredths / 100:.2f}".rstrip("0").rstrip(".")
        if hundredths >= 9000
        else str(hundredths // 100)
    )
    return f"{text} %"
