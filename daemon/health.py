"""An endpoint's health: a count of failures in a row, and the two steps that it leads to."""

from dataclasses import dataclass

from daemon.model import Health, NoticeKind


@dataclass(frozen=True, slots=True)
class Limits:
    """After how many failures in a row an endpoint is called failing, and is paused."""

    failing_after: int = 5
    pause_after: int = 100


def after_success(health: Health) -> Health:
    """One success forgets every failure; it does not resume what is paused."""
    return Health(health.is_active, is_failing=False, consecutive_failures=0)


def after_failure(
    health: Health, limits: Limits, *, gone: bool
) -> tuple[Health, NoticeKind | None]:
    """
    The health after one more failed attempt, and the transition it made, if any.

    `gone` is the receiver's 410: it pauses at once. Attempts that were under way when the endpoint
    was paused still count, but lead nowhere. (Contract, section 4.)
    """
    failures = health.consecutive_failures + 1
    failing = health.is_failing or failures >= limits.failing_after
    if health.is_active and gone:
        return Health(False, failing, failures), NoticeKind.GONE
    if health.is_active and failures >= limits.pause_after:
        return Health(False, failing, failures), NoticeKind.PAUSED
    if health.is_active and failing and not health.is_failing:
        return Health(True, failing, failures), NoticeKind.FAILING
    return Health(health.is_active, failing, failures), None
