"""Retry schedules in words."""

import re
from collections.abc import Sequence

UNITS = {"ms": "millisecond", "s": "second", "m": "minute", "h": "hour", "d": "day"}
DURATION = re.compile(r"(\d+)(ms|s|m|h|d)")


def in_words(waits: Sequence[str]) -> str:
    """The waits of a schedule: `1 minute, 5 minutes and 24 hours`; empty for none."""
    if not waits:
        return ""
    worded = [DURATION.sub(_unit_in_words, each) for each in waits]
    *first, last = worded
    return f"{', '.join(first)} and {last}" if first else last


def _unit_in_words(found: re.Match[str]) -> str:
    plural = "" if found[1] == "1" else "s"
    return f"{found[1]} {UNITS[found[2]]}{plural}"
