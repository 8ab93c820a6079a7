"""
The wait before the next attempt: the schedule, a receiver's Retry-After, and jitter.

Never shorter than scheduled, and at most 10 % longer (contract, section 4), unless the endpoint is
failing: then `probe_wait` spaces its attempts.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

# Jitter keeps endpoints that failed together from being retried together. The contract allows 10 %;
# the other half is for what follows this decision: storing it, finding it due, a busy moment.
MAX_JITTER = 0.05

FIRST_PROBE_WAIT = timedelta(seconds=1)
MOST_DOUBLINGS = 30  # beyond any `failing_backoff`


def retry_delay(
    attempt: int,
    schedule: Sequence[timedelta],
    *,
    jitter: float,
    requested: timedelta | None = None,
) -> timedelta | None:
    """
    Return the wait after the chain's failed attempt `attempt` (1 = the first); None ends the chain.

    `schedule[n - 1]` follows attempt n, so its length is the number of retries. `requested` is the
    receiver's Retry-After: it lengthens the wait, to at most the schedule's longest step. `jitter`,
    in [0, 1), adds up to 5 % (contract, section 4).
    """
    attempt = max(attempt, 1)  # the application may have written a row with any number
    if attempt > len(schedule):
        return None
    wait = schedule[attempt - 1]
    if requested is not None:
        wait = max(wait, min(requested, max(schedule)))
    return wait * (1 + MAX_JITTER * jitter)


def probe_wait(failed_probes: int, longest: timedelta) -> timedelta:
    """
    Return the wait before the next attempt to an endpoint that is failing: 1 s, 2 s, 4 s ….

    `failed_probes` is how many attempts have failed since it is failing, and `longest` the longest
    wait, `delivery.failing_backoff`; zero turns the spacing off (contract, section 4).
    """
    doublings = min(max(0, failed_probes), MOST_DOUBLINGS)
    return min(FIRST_PROBE_WAIT * (1 << doublings), longest)


def parse_retry_after(value: str, *, now: datetime) -> timedelta | None:
    """
    Return the delay that a Retry-After header requests; None when it is malformed.

    It is a number of seconds or an HTTP date (RFC 9110, section 10.2.3), relative to `now`. A date
    in the past is a delay of zero.
    """
    value = value.strip()
    if value.isascii() and value.isdigit():
        return timedelta(seconds=int(value.lstrip("0")[:9] or 0))  # nine digits are thirty years
    try:
        until = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    if until.tzinfo is None:
        until = until.replace(tzinfo=UTC)
    return max(until - now, timedelta())
