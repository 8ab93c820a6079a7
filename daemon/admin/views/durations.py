"""Durations in responses, written as in the configuration."""

from datetime import timedelta

UNITS = (
    (timedelta(days=1), "d"),
    (timedelta(hours=1), "h"),
    (timedelta(minutes=1), "m"),
    (timedelta(seconds=1), "s"),
)


def duration_text(length: timedelta) -> str:
    """The duration in its largest unit without a fraction, such as `5m`; `24h` and not `1d`."""
    for unit, name in UNITS:
        if length >= (2 * unit if name == "d" else unit) and not length % unit:
            return f"{length // unit}{name}"
    return f"{length // timedelta(milliseconds=1)}ms"
