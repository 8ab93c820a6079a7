"""Lengths of time as people write them: a number never goes without its unit."""

import re
from datetime import timedelta

UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_WRITTEN = re.compile("".join(rf"(?:([0-9]{{1,9}}){unit})?" for unit in UNITS))
ACCEPTED = 'must be a duration like "250ms", "5s", "1h30m" or "90d"'


def parse_duration(text: object) -> timedelta:
    """
    Read `"5s"`, `"1h30m"`, `"250ms"`; a timedelta passes as it is.

    Units are d, h, m, s and ms, largest first, each at most once. Raises ValueError.
    """
    if isinstance(text, timedelta):
        return text
    written = _WRITTEN.fullmatch(text) if isinstance(text, str) and text else None
    if written is None:
        raise ValueError(ACCEPTED)
    counts = (int(count or 0) for count in written.groups())
    try:
        return sum((n * unit for n, unit in zip(counts, UNITS.values(), strict=True)), timedelta())
    except OverflowError:
        raise ValueError(f"{ACCEPTED}, and shorter") from None


def format_duration(duration: timedelta) -> str:
    """Write a duration so that `parse_duration` reads it back; what is below 1 ms is dropped."""
    parts = []
    for unit, length in UNITS.items():
        count, duration = divmod(duration, length)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
