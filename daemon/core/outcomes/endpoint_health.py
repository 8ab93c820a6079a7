"""
An endpoint's health: a count of failures in a row, and the transitions that it causes.

Each transition causes one notice (contract, section 4).
"""

from dataclasses import dataclass

from daemon.core.model.endpoints import Health
from daemon.core.model.notices import NoticeKind

MOST_FAILURES = 2**31 - 1  # the column's maximum; `pause_after` is a million at most


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """The numbers of failures in a row at which an endpoint is failing, and is paused."""

    failing_after: int = 5
    pause_after: int = 100

    @property
    def half_way_after(self) -> int:
        """Half of `pause_after`, rounded up."""
        return -(-self.pause_after // 2)

    @property
    def nearly_paused_after(self) -> int:
        """Nine tenths of `pause_after`, rounded up."""
        return -(-self.pause_after * 9 // 10)


def after_success(health: Health) -> Health:
    """Return the health after a success: no failures; a paused endpoint stays paused."""
    return Health(health.is_active, is_failing=False, consecutive_failures=0)


def after_failure(
    health: Health, limits: HealthLimits, *, gone: bool
) -> tuple[Health, NoticeKind | None]:
    """
    Return the health after one more failed attempt, and the kind of notice due, if any.

    `gone` is the receiver's 410, which pauses at once. Attempts that were under way when the
    endpoint was paused still count, but cause no notice (contract, section 4).
    """
    failures = min(health.consecutive_failures + 1, MOST_FAILURES)
    failing = health.is_failing or failures >= limits.failing_after
    active = health.is_active and not gone and failures < limits.pause_after
    after = Health(active, failing, failures)
    return after, _notice_due(health, after, limits, gone=gone)


def notice_of_success(before: Health) -> NoticeKind | None:
    """The notice of a success: the first one while the endpoint is failing, unless it is paused."""
    return NoticeKind.RECOVERED if before.is_failing and before.is_active else None


def _notice_due(
    before: Health, after: Health, limits: HealthLimits, *, gone: bool
) -> NoticeKind | None:
    """
    At most one notice for each failure, the most severe.

    A transition is more severe than a warning, and its notice says how far off the pause is: where
    small limits make both fall on the same failure, the warning is omitted.
    """
    if not before.is_active:
        return None
    if not after.is_active:
        return NoticeKind.GONE if gone else NoticeKind.PAUSED
    if after.is_failing and not before.is_failing:
        return NoticeKind.FAILING
    if after.consecutive_failures == limits.nearly_paused_after:
        return NoticeKind.NEARLY_PAUSED
    if after.consecutive_failures == limits.half_way_after:
        return NoticeKind.HALF_WAY
    return None
