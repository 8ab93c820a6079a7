"""How long to wait before the next attempt: the schedule, and what a receiver asks for."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

# So that endpoints that fell together do not rise together. The contract allows a tenth; half of
# that is left for what comes after this decision: storing it, noticing it, a busy moment.
LATEST = 0.05


def retry_delay(
    attempt: int,
    schedule: Sequence[timedelta],
    *,
    roll: float,
    asked: timedelta | None = None,
) -> timedelta | None:
    """
    How long to wait after failed attempt number `attempt` (1 = the first); None gives up.

    `schedule[n - 1]` follows attempt n, so its length is the number of retries. `asked` is the
    receiver's Retry-After: it lengthens the wait, to at most the schedule's longest step. `roll`,
    in [0, 1), places the wait between that time and 5 % later. (Contract, section 4.)
    """
    attempt = max(attempt, 1)  # the application may have written a row with any number
    if attempt > len(schedule):
        return None
    wait = schedule[attempt - 1]
    if asked is not None:
        wait = max(wait, min(asked, max(schedule)))
    return wait * (1 + LATEST * roll)


def parse_retry_after(value: str, *, now: datetime) -> timedelta | None:
    """
    What a Retry-After header asks for; None when it says nothing that we understand.

    Seconds or an HTTP date (RFC 9110, section 10.2.3), which is read against `now`.
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
