"""An endpoint's health is a count of failures in a row; each transition causes one notice."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from daemon.core.model.endpoints import Health
from daemon.core.model.notices import NoticeKind
from daemon.core.outcomes.endpoint_health import (
    HealthLimits,
    after_failure,
    after_success,
    is_probe,
    notice_of_success,
)

SINCE = datetime(2025, 11, 25, tzinfo=UTC)
NEW = Health(is_active=True, is_failing=False, consecutive_failures=0)
LIMITS = HealthLimits()
ALL = [NoticeKind.FAILING, NoticeKind.HALF_WAY, NoticeKind.NEARLY_PAUSED, NoticeKind.PAUSED]
WARNINGS = {NoticeKind.HALF_WAY, NoticeKind.NEARLY_PAUSED}

times = st.sampled_from([None, SINCE, SINCE + timedelta(seconds=1)])
healths = st.builds(
    Health,
    is_active=st.booleans(),
    is_failing=st.booleans(),
    consecutive_failures=st.integers(0, 200),
    failing_since=times,
    failed_probes=st.integers(0, 200),
)
limits = st.builds(HealthLimits, st.integers(1, 20), st.integers(1, 120))


def stored(health: Health) -> Health:
    """What a later attempt finds of a health, once it is stored."""
    if not health.newly_failing:
        return health
    return replace(health, failing_since=SINCE, newly_failing=False)


def fail_next(
    health: Health, limits: HealthLimits = LIMITS, *, gone: bool = False
) -> tuple[Health, NoticeKind | None]:
    """One failed attempt that began after all before it were stored."""
    after, kind = after_failure(health, limits, gone=gone, began=health.failing_since)
    return stored(after), kind


def fail(
    health: Health, times: int, limits: HealthLimits = LIMITS
) -> tuple[Health, list[NoticeKind]]:
    """Fail `times` times in turn; return the health after that, and the kinds of notices."""
    notices = []
    for _ in range(times):
        health, kind = fail_next(health, limits)
        notices += [kind] if kind else []
    return health, notices


def fail_burst(
    health: Health, times: int, limits: HealthLimits = LIMITS
) -> tuple[Health, list[NoticeKind]]:
    """The same with attempts that all began before the first of them failed."""
    began, notices = health.failing_since, []
    for _ in range(times):
        health, kind = after_failure(health, limits, gone=False, began=began)
        notices += [kind] if kind else []
    return stored(health), notices


def summary(health: Health) -> tuple[bool, bool, int]:
    return health.is_active, health.is_failing, health.consecutive_failures


@pytest.mark.parametrize(
    ("failures", "is_active", "is_failing", "notices"),
    [
        (4, True, False, []),
        (5, True, True, [NoticeKind.FAILING]),
        (49, True, True, ALL[:1]),
        (50, True, True, ALL[:2]),
        (89, True, True, ALL[:2]),
        (90, True, True, ALL[:3]),
        (99, True, True, ALL[:3]),
        (100, False, True, ALL),
        (150, False, True, ALL),
    ],
)
def test_failures_in_a_row_make_an_endpoint_failing_then_pause_it(
    failures: int, is_active: bool, is_failing: bool, notices: list[NoticeKind]
) -> None:
    health, found = fail(NEW, failures)

    assert summary(health) == (is_active, is_failing, failures)
    assert found == notices


def test_a_burst_of_attempts_that_began_before_it_was_failing_pauses_nobody() -> None:
    health, notices = fail_burst(NEW, 500)

    assert summary(health) == (True, True, 500)
    assert NoticeKind.PAUSED not in notices


def test_after_a_burst_ten_more_failures_pause() -> None:
    burst, _ = fail_burst(NEW, 500)
    nine, _ = fail(burst, 9)
    ten, notices = fail(burst, 10)

    assert nine.is_active
    assert not ten.is_active
    assert notices == [NoticeKind.NEARLY_PAUSED, NoticeKind.PAUSED]


def test_what_is_left_of_a_burst_does_not_pause_after_ten_failures_either() -> None:
    failing, _ = fail(NEW, 99)

    late, _ = after_failure(failing, LIMITS, gone=False, began=None)
    again, _ = after_failure(failing, LIMITS, gone=False, began=SINCE - timedelta(days=1))
    in_turn, _ = fail_next(failing)

    assert (late.is_active, again.is_active, in_turn.is_active) == (True, True, False)


@pytest.mark.parametrize("is_failing", [True, False])
def test_failures_that_an_older_version_or_a_person_wrote_count(is_failing: bool) -> None:
    health = Health(True, is_failing, 99)

    after, kind = after_failure(health, LIMITS, gone=False)

    assert summary(after) == (False, True, 100)
    assert kind is NoticeKind.PAUSED


def test_a_count_that_was_reset_by_hand_leaves_nothing_of_the_run_before() -> None:
    health = Health(True, False, 0, failing_since=SINCE, failed_probes=90)
    for _ in range(5):
        health, _ = after_failure(health, LIMITS, gone=False)

    assert health == Health(True, True, 5, newly_failing=True)


@given(outcomes=st.lists(st.booleans(), max_size=200), limits=limits)
def test_in_turn_every_failure_since_the_transition_is_a_probe(
    outcomes: list[bool], limits: HealthLimits
) -> None:
    health = NEW
    for succeeded in outcomes:
        health = after_success(health) if succeeded else fail_next(health, limits)[0]

        assert health.is_failing == (health.failing_since is not None)
        since_then = health.consecutive_failures - limits.failing_after
        assert health.failed_probes == max(0, since_then)


@given(failing_after=st.integers(1, 20), further=st.integers(1, 100), times=st.integers(0, 300))
def test_a_burst_never_pauses_where_more_failures_are_needed_than_make_it_failing(
    failing_after: int, further: int, times: int
) -> None:
    limits = HealthLimits(failing_after, failing_after + further)

    after, notices = fail_burst(NEW, times, limits)

    assert after.is_active
    assert notices.count(NoticeKind.FAILING) == (times >= failing_after)


def test_a_burst_causes_one_notice_and_its_warning_comes_with_the_first_probe() -> None:
    burst, at_once = fail_burst(NEW, 95)
    _, then = fail_next(burst)

    assert at_once == [NoticeKind.FAILING]
    assert then is NoticeKind.NEARLY_PAUSED


@given(health=healths, limits=limits, began=times)
def test_an_attempt_of_another_run_of_failures_is_no_probe(
    health: Health, limits: HealthLimits, began: datetime | None
) -> None:
    assume(began != health.failing_since)

    assert not is_probe(health, limits, began)


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
        health, kind = fail_next(health, limits)
        if kind is not None:
            found[number] = kind

    assert found == notices


def test_a_success_resets_the_count_so_the_next_transition_causes_a_notice_again() -> None:
    failing, _ = fail(NEW, 30)
    failing_again, notices = fail(after_success(failing), 5)

    assert after_success(failing) == NEW
    assert summary(failing_again) == (True, True, 5)
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
    assert health.is_active or kind is None


@given(health=healths, limits=limits)
def test_an_endpoint_that_is_tried_in_turn_is_paused_at_its_number_of_failures(
    health: Health, limits: HealthLimits
) -> None:
    after, _ = fail_next(health, limits)

    enough = after.consecutive_failures >= limits.pause_after
    probed = after.failed_probes >= limits.probes_before_pause
    assert after.is_active or enough or not health.is_active
    assert not after.is_active or not (enough and probed)


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


@given(failures=st.integers(0, 120), limits=limits)
def test_a_warning_comes_at_its_number_of_failures_and_before_the_pause(
    failures: int, limits: HealthLimits
) -> None:
    health, _ = fail(NEW, failures, limits)

    after, kind = fail_next(health, limits)

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
            health, kind = fail_next(health, limits)
        notices.append(kind)
        became_failing = health.is_failing and not before.is_failing and health.is_active
        assert (kind is NoticeKind.FAILING) == became_failing

    assert notices.count(NoticeKind.PAUSED) == (not health.is_active)


@given(health=healths)
def test_a_success_changes_only_the_failures(health: Health) -> None:
    assert after_success(health) == Health(health.is_active, False, 0)


def test_the_count_of_failures_stops_at_the_maximum_of_its_column() -> None:
    health, _ = after_failure(Health(True, True, 2**31 - 1), LIMITS, gone=False)

    assert summary(health) == (False, True, 2**31 - 1)


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
