"""An endpoint's health: a count of failures in a row, and the steps that it leads to."""

from dataclasses import dataclass

from daemon.core.model.endpoints import Health
from daemon.core.model.notices import NoticeKind

MOST_FAILURES = 2**31 - 1  # a column's integer ends there; pauses come at a million at the latest


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """After how many failures in a row an endpoint is called failing, and is paused."""

    failing_after: int = 5
    pause_after: int = 100

    @property
    def half_way(self) -> int:
        """Half of `pause_after`, rounded up."""
        return -(-self.pause_after // 2)

    @property
    def nearly(self) -> int:
        """Nine tenths of `pause_after`, rounded up."""
        return -(-self.pause_after * 9 // 10)


def after_success(health: Health) -> Health:
    """One success forgets every failure; it does not resume what is paused."""
    return Health(health.is_active, is_failing=False, consecutive_failures=0)


def after_failure(
    health: Health, limits: HealthLimits, *, gone: bool
) -> tuple[Health, NoticeKind | None]:
    """
    The health after one more failed attempt, and what is to be told of it, if anything.

    `gone` is the receiver's 410: it pauses at once. Attempts that were under way when the endpoint
    was paused still count, but lead nowhere. (Contract, section 4.)
    """
    failures = min(health.consecutive_failures + 1, MOST_FAILURES)
    failing = health.is_failing or failures >= limits.failing_after
    active = health.is_active and not gone and failures < limits.pause_after
    after = Health(active, failing, failures)
    return after, _news(health, after, limits, gone=gone)


def _news(before: Health, after: Health, limits: HealthLimits, *, gone: bool) -> NoticeKind | None:
    """
    At most one thing for each failure, and the gravest that it is.

    What has changed is graver than a warning, and says itself how far off the pause is: where
    small limits make both fall on the same failure, the warning is left out.
    """
    if not before.is_active:
        return None
    if not after.is_active:
        return NoticeKind.GONE if gone else NoticeKind.PAUSED
    if after.is_failing and not before.is_failing:
        return NoticeKind.FAILING
    if after.consecutive_failures == limits.nearly:
        return NoticeKind.NEARLY_PAUSED
    if after.consecutive_failures == limits.half_way:
        return NoticeKind.HALF_WAY
    return None
