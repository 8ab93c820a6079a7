"""
An endpoint's health: a count of failures in a row, and the transitions that it causes.

Each transition causes one notice. What began before an endpoint was failing never pauses it: a
burst of events into a short outage pauses no webhook (contract, section 4).
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from daemon.core.model.endpoints import Health
from daemon.core.model.notices import NoticeKind

MOST_FAILURES = 2**31 - 1  # the column's maximum; `pause_after` is a million at most
ENOUGH_PROBES = 10


@dataclass(frozen=True, slots=True)
class HealthLimits:
    """
    The numbers of failures in a row at which an endpoint is failing, and is paused.

    `failing_backoff` is the longest wait between attempts while it is failing; zero for none.
    """

    failing_after: int = 5
    pause_after: int = 100
    failing_backoff: timedelta = timedelta(minutes=1)

    @property
    def probes_before_pause(self) -> int:
        """
        How many attempts that begin while it is failing have to fail before it is paused.

        When attempts are made one after the other, `pause_after` failures contain that many.
        """
        return max(0, min(ENOUGH_PROBES, self.pause_after - self.failing_after))

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


def is_probe(health: Health, limits: HealthLimits, began: datetime | None) -> bool:
    """
    Whether an attempt began while the endpoint was failing as it is now.

    `began` is the `failing_since` that its claim saw. No clocks are compared: a claim that was
    under way during the transition did not see it. Where a row has no `failing_since` though it has
    the failures, it was written by an older version or by hand, and every attempt is a probe.
    """
    is_known = _has_failures(health, limits) and not health.newly_failing
    return is_known and began == health.failing_since


def after_failure(
    health: Health, limits: HealthLimits, *, gone: bool, began: datetime | None = None
) -> tuple[Health, NoticeKind | None]:
    """
    Return the health after one more failed attempt, and the kind of notice due, if any.

    `gone` is the receiver's 410, which pauses at once; `began` is as in `is_probe`. Attempts that
    were under way when the endpoint was paused still count, but cause no notice (contract,
    section 4).
    """
    failures = min(health.consecutive_failures + 1, MOST_FAILURES)
    probe = is_probe(health, limits, began)
    after = Health(
        is_active=health.is_active and not gone,
        is_failing=health.is_failing or failures >= limits.failing_after,
        consecutive_failures=failures,
    )
    if _has_failures(health, limits):
        after = replace(
            after,
            failing_since=health.failing_since,
            failed_probes=min(_failed_probes(health, limits) + probe, MOST_FAILURES),
            newly_failing=health.newly_failing,
        )
    elif after.is_failing:
        after = replace(after, newly_failing=True)
    if failures >= limits.pause_after and _may_pause(after, limits, probe=probe):
        after = replace(after, is_active=False)
    return after, _notice_due(health, after, limits, gone=gone, probe=probe)


def _has_failures(health: Health, limits: HealthLimits) -> bool:
    return health.is_failing or health.consecutive_failures >= limits.failing_after


def _failed_probes(health: Health, limits: HealthLimits) -> int:
    """The probes that failed before; as many as there can be where they were not counted."""
    if health.newly_failing or health.failing_since is not None:
        return health.failed_probes
    return max(0, health.consecutive_failures - limits.failing_after)


def _may_pause(after: Health, limits: HealthLimits, *, probe: bool) -> bool:
    """Whether a failed attempt may pause its endpoint, or is one of a burst."""
    needed = limits.probes_before_pause
    return after.failed_probes >= needed and (probe or needed == 0)


def notice_of_success(before: Health) -> NoticeKind | None:
    """The notice of a success: the first one while the endpoint is failing, unless it is paused."""
    return NoticeKind.RECOVERED if before.is_failing and before.is_active else None


def _notice_due(
    before: Health, after: Health, limits: HealthLimits, *, gone: bool, probe: bool
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
    if after.is_failing and not probe:
        return None  # one of a burst: the next probe warns, if the endpoint is still failing
    return _warning_due(before, after, limits)


def _warning_due(before: Health, after: Health, limits: HealthLimits) -> NoticeKind | None:
    left = _failures_left(after.consecutive_failures, after.failed_probes, limits)
    if after.failed_probes == 1:
        left_before = _failures_left(limits.failing_after, 0, limits)
    else:
        probes = _failed_probes(before, limits)
        left_before = _failures_left(before.consecutive_failures, probes, limits)
    if left <= limits.pause_after - limits.nearly_paused_after < left_before:
        return NoticeKind.NEARLY_PAUSED
    if left <= limits.pause_after - limits.half_way_after < left_before:
        return NoticeKind.HALF_WAY
    return None


def _failures_left(failures: int, failed_probes: int, limits: HealthLimits) -> int:
    """How many more failed attempts, each begun after the one before it, pause the endpoint."""
    return max(limits.pause_after - failures, limits.probes_before_pause - failed_probes)
