"""
The bounds of a webhook's delivery options.

The rule: the application may store any value. The nearest one within the bounds is used, and said.
"""

from collections.abc import Container, Iterator
from math import isnan

from daemon.core.model.delivery_options import (
    DEFAULT_ATTEMPT,
    DEFAULT_OPTIONS,
    AttemptOptions,
    DeliveryOptions,
)
from daemon.core.unprintable import escape

SHORTEST_TIMEOUT_MS, LONGEST_TIMEOUT_MS = 1_000, 30_000
# Below one per second, an attempt is made every so many seconds.
SLOWEST, FASTEST = 0.1, 10_000.0
FEWEST_IN_FLIGHT, MOST_IN_FLIGHT = 1, 256
LONGEST_SCHEDULE_NAME = 64
SCHEDULE_NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"  # in ECMA 262 and Python


def bounded(options: DeliveryOptions) -> DeliveryOptions:
    """Return the options within the bounds; not a number counts as too large, as in PostgreSQL."""
    return DeliveryOptions(
        timeout_ms=_between(options.timeout_ms, SHORTEST_TIMEOUT_MS, LONGEST_TIMEOUT_MS),
        max_per_second=_rate(options.max_per_second),
        max_in_flight=_between(options.max_in_flight, FEWEST_IN_FLIGHT, MOST_IN_FLIGHT),
        retry_schedule=options.retry_schedule,
        client_errors_final=options.client_errors_final,
    )


def attempt_options(options: DeliveryOptions) -> AttemptOptions:
    """Return what of a webhook's options its attempts need to know."""
    if options is DEFAULT_OPTIONS:
        return DEFAULT_ATTEMPT
    timeout_ms = bounded(options).timeout_ms
    return AttemptOptions(
        timeout_seconds=None if timeout_ms is None else timeout_ms / 1000,
        retry_schedule=options.retry_schedule,
        client_errors_final=bool(options.client_errors_final),
        takes_place=options.max_in_flight is not None,
    )


def odd_options(options: DeliveryOptions, schedules: Container[str]) -> Iterator[str]:
    """Say which stored values are not used as they are; `schedules` are the names configured."""
    if options == DEFAULT_OPTIONS:
        return
    used = bounded(options)
    if used.timeout_ms is not None and used.timeout_ms != options.timeout_ms:
        yield (
            f"timeout: {options.timeout_ms} ms is not from 1s to 30s;"
            f" {used.timeout_ms // 1000}s is used"
        )
    if used.max_per_second is not None and used.max_per_second != options.max_per_second:
        yield (
            f"maxPerSecond: {options.max_per_second:g} is not from {SLOWEST:g} to {FASTEST:g};"
            f" {used.max_per_second:g} is used"
        )
    if used.max_in_flight is not None and used.max_in_flight != options.max_in_flight:
        yield (
            f"maxInFlight: {options.max_in_flight} is not from {FEWEST_IN_FLIGHT} to"
            f" {MOST_IN_FLIGHT}; {used.max_in_flight} is used"
        )
    name = options.retry_schedule
    if name is not None and name not in schedules:
        yield (
            f"retrySchedule: {escape(name[:LONGEST_SCHEDULE_NAME])} is not configured;"
            " the default schedule is used"
        )


def _between(number: int | None, least: int, most: int) -> int | None:
    return None if number is None else min(max(number, least), most)


def _rate(number: float | None) -> float | None:
    if number is None:
        return None
    return FASTEST if isnan(number) else min(max(number, SLOWEST), FASTEST)
