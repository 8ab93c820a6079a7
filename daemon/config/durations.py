"""Durations as text, like `"1h30m"`: every number has a unit."""

import re
from datetime import timedelta

UNITS = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
_PATTERN = re.compile("".join(rf"(?:([0-9]{{1,9}}){unit})?" for unit in UNITS))
ACCEPTED = 'must be a duration like "250ms", "5s", "1h30m" or "90d"'


def parse_duration(text: object) -> timedelta:
    """
    Parse `"5s"`, `"1h30m"` or `"250ms"`; a timedelta is returned unchanged.

    Units are w, d, h, m, s and ms, largest first, each at most once. Raises ValueError.
    """
    if isinstance(text, timedelta):
        return text
    match = _PATTERN.fullmatch(text) if isinstance(text, str) and text else None
    if match is None:
        raise ValueError(ACCEPTED)
    counts = (int(count or 0) for count in match.groups())
    try:
        return sum((n * unit for n, unit in zip(counts, UNITS.values(), strict=True)), timedelta())
    except OverflowError:
        raise ValueError(f"{ACCEPTED}, and shorter") from None


def format_duration(duration: timedelta) -> str:
    """
    Format a duration for `parse_duration`, in days and less.

    Fractions of a millisecond are dropped.
    """
    parts = []
    for unit, length in list(UNITS.items())[1:]:
        count, duration = divmod(duration, length)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
