"""An endpoint's health is a count of failures in a row; each transition causes one notice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.model.endpoints import Health
from daemon.core.model.notices import NoticeKind
from daemon.core.outcomes.endpoint_health import (
    HealthLimits,
    after_failure,
    after_success,
    notice_of_success,
)

NEW = Health(is_active=True, is_failing=False, consecutive_failures=0)
LIMITS = HealthLimits()
ALL = [NoticeKind.FAILING, NoticeKind.HALF_WAY, NoticeKind.NEARLY_PAUSED, NoticeKind.PAUSED]
WARNINGS = {NoticeKind.HALF_WAY, NoticeKind.NEARLY_PAUSED}

healths = st.builds(Health, st.booleans(), st.booleans(), st.integers(0, 200))
limits = st.builds(HealthLimits, st.integers(1, 20), st.integers(1, 120))


def fail(
    health: Health, times: int, limits: HealthLimits = LIMITS
) -> tuple[Health, list[NoticeKind]]:
    """Fail `times` times; return the health after that, and the kinds of notices on the way."""
    notices = []
    for _ in range(times):
        health, kind = after_failure(health, limits, gone=False)
        notices += [kind] if kind else []
    return health, notices


@pytest.mark.parametrize(
    ("failures", "health", "notices"),
    [
        (4, Health(True, False, 4), []),
        (5, Health(True, True, 5), [NoticeKind.FAILING]),
        (49, Health(True, True, 49), ALL[:1]),
        (50, Health(True, True, 50), ALL[:2]),
        (89, Health(True, True, 89), ALL[:2]),
        (90, Health(True, True, 90), ALL[:3]),
        (99, Health(True, True, 99), ALL[:3]),
        (100, Health(False, True, 100), ALL),
        (150, Health(False, True, 150), ALL),
    ],
)
def test_failures_in_a_row_make_an_endpoint_failing_then_pause_it(
    failures: int, health: Health, notices: list[NoticeKind]
) -> None:
    assert fail(NEW, failures) == (health, notices)


@pytest.mark.parametrize(
    ("limits", "notices"),
    [
        (HealthLimits(1, 1), {1: NoticeKind.PAUSED}),
        (HealthLimits(1, 2), {1: NoticeKind.FAILING, 2: NoticeKind.PAUSED}),
        (HealthLimits(2, 2), {1: NoticeKind.HALF_WAY, 2: NoticeKind.PAUSED}),
        (HealthLimits(1, 5), {1: NoticeKind.FAILING, 3: NoticeKind.HALF_WAY, 5: NoticeKind.PAUSED}),
        (HealthLimits(3, 5), {3: NoticeKind.FAILING, 5: NoticeKind.PAUSED}),
        (
            HealthLimits(5, 10),
            {5: NoticeKind.FAILING, 9: NoticeKind.NEARLY_PAUSED, 10: NoticeKind.PAUSED},
        ),
        (
            HealthLimits(9, 10),
            {5: NoticeKind.HALF_WAY, 9: NoticeKind.FAILING, 10: NoticeKind.PAUSED},
        ),
        (
            HealthLimits(11, 11),
            {6: NoticeKind.HALF_WAY, 10: NoticeKind.NEARLY_PAUSED, 11: NoticeKind.PAUSED},
        ),
    ],
)
def test_where_limits_coincide_only_the_most_severe_notice_is_due(
    limits: HealthLimits, notices: dict[int, NoticeKind]
) -> None:
    health, found = NEW, {}
    for number in range(1, 20):
        health, kind = after_failure(health, limits, gone=False)
        if kind is not None:
            found[number] = kind

    assert found == notices


def test_a_success_resets_the_count_so_the_next_transition_causes_a_notice_again() -> None:
    failing, _ = fail(NEW, 30)
    failing_again, notices = fail(after_success(failing), 5)

    assert after_success(failing) == NEW
    assert failing_again == Health(True, True, 5)
    assert notices == [NoticeKind.FAILING]


def test_a_success_does_not_resume_a_paused_endpoint() -> None:
    assert after_success(Health(False, True, 100)) == Health(False, False, 0)


@pytest.mark.parametrize("failures", [0, 4, 50, 99])
def test_gone_pauses_at_once(failures: int) -> None:
    health, _ = fail(NEW, failures)

    paused, kind = after_failure(health, LIMITS, gone=True)

    assert not paused.is_active
    assert paused.consecutive_failures == failures + 1
    assert kind is NoticeKind.GONE


def test_gone_causes_one_notice() -> None:
    paused, _ = after_failure(NEW, LIMITS, gone=True)

    assert after_failure(paused, LIMITS, gone=True) == (Health(False, False, 2), None)


@given(health=healths, limits=limits, gone=st.booleans())
def test_one_failure_counts_one_and_never_improves_the_health(
    health: Health, limits: HealthLimits, gone: bool
) -> None:
    after, kind = after_failure(health, limits, gone=gone)

    assert after.consecutive_failures == health.consecutive_failures + 1
    assert after.is_failing >= health.is_failing
    assert after.is_active <= health.is_active
    assert after.is_failing or after.consecutive_failures < limits.failing_after
    assert not after.is_active or after.consecutive_failures < limits.pause_after
    assert health.is_active or kind is None


@given(health=healths, limits=limits, gone=st.booleans())
def test_a_notice_is_of_the_change_that_happened(
    health: Health, limits: HealthLimits, gone: bool
) -> None:
    after, kind = after_failure(health, limits, gone=gone)

    paused = health.is_active and not after.is_active
    assert (kind in {NoticeKind.PAUSED, NoticeKind.GONE}) == paused
    assert kind is not NoticeKind.GONE or gone
    if kind is NoticeKind.FAILING:
        assert after.is_failing
        assert not health.is_failing


@given(health=healths, limits=limits, gone=st.booleans())
def test_a_warning_comes_at_its_number_of_failures_and_before_the_pause(
    health: Health, limits: HealthLimits, gone: bool
) -> None:
    after, kind = after_failure(health, limits, gone=gone)

    number = after.consecutive_failures
    if kind in WARNINGS:
        assert after.is_active
        assert after.is_failing == health.is_failing
        assert number == (
            limits.half_way_after if kind is NoticeKind.HALF_WAY else limits.nearly_paused_after
        )
    elif number in {limits.half_way_after, limits.nearly_paused_after} and health.is_active:
        assert kind is not None


@given(limits=limits)
def test_half_and_nine_tenths_are_reached_and_not_yet_exceeded(limits: HealthLimits) -> None:
    assert 0 <= 2 * limits.half_way_after - limits.pause_after < 2
    assert 0 <= 10 * limits.nearly_paused_after - 9 * limits.pause_after < 10


@given(failures=st.integers(0, 200), limits=limits)
def test_no_run_of_failures_causes_the_same_notice_twice(
    failures: int, limits: HealthLimits
) -> None:
    _, notices = fail(NEW, failures, limits)

    assert len(notices) == len(set(notices))


@given(outcomes=st.lists(st.booleans(), max_size=300), limits=limits)
def test_each_transition_causes_one_notice_whatever_happens(
    outcomes: list[bool], limits: HealthLimits
) -> None:
    health, notices = NEW, []
    for succeeded in outcomes:
        before = health
        if succeeded:
            health, kind = after_success(health), None
        else:
            health, kind = after_failure(health, limits, gone=False)
        notices.append(kind)
        became_failing = health.is_failing and not before.is_failing and health.is_active
        assert (kind is NoticeKind.FAILING) == became_failing

    assert notices.count(NoticeKind.PAUSED) == (not health.is_active)


@given(health=healths)
def test_a_success_changes_only_the_failures(health: Health) -> None:
    assert after_success(health) == Health(health.is_active, False, 0)


def test_the_count_of_failures_stops_at_the_maximum_of_its_column() -> None:
    health, _ = after_failure(Health(True, True, 2**31 - 1), LIMITS, gone=False)

    assert health == Health(False, True, 2**31 - 1)


@pytest.mark.parametrize(
    ("health", "notice"),
    [
        (NEW, None),
        (Health(True, False, 4), None),
        (Health(True, True, 5), NoticeKind.RECOVERED),
        (Health(False, True, 100), None),  # an attempt that was under way at the pause
    ],
)
def test_the_first_success_of_a_failing_endpoint_is_a_recovery(
    health: Health, notice: NoticeKind | None
) -> None:
    assert notice_of_success(health) is notice
    assert notice_of_success(after_success(health)) is None
