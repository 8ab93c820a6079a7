"""What stats cover."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.outcomes.stats_range import (
    HOUR,
    HOURS_KEPT,
    MINUTE,
    MINUTES_KEPT,
    MOST_POINTS,
    last_day,
    stats_range,
)

NOW = datetime(2026, 3, 1, 12, 34, 56, 789, tzinfo=UTC)
DAY = timedelta(days=1)
TIMES = (
    st.none()
    | st.datetimes(timezones=st.just(UTC))
    | st.datetimes(
        NOW.replace(tzinfo=None) - 40 * DAY, NOW.replace(tzinfo=None) + DAY, timezones=st.just(UTC)
    )
)


@given(TIMES, TIMES)
def test_every_range_is_covered_as_far_as_it_is_kept_in_a_bounded_number_of_rows(
    since: datetime | None, until: datetime | None
) -> None:
    covered = stats_range(since, until, now=NOW)

    wanted_to = min(until or NOW, NOW)
    kept_from = NOW - HOURS_KEPT
    wanted_from = max(since or max(wanted_to, kept_from) - DAY, kept_from)
    assert (covered.until - covered.since) / covered.unit <= 30 * 24 + 2 or covered.unit == MINUTE
    assert (covered.until - covered.since) <= 25 * HOUR + 2 * MINUTE or covered.unit == HOUR
    assert covered.unit == HOUR or covered.points == 0 or covered.since > NOW - MINUTES_KEPT
    assert covered.points <= MOST_POINTS
    assert covered.points * covered.width >= covered.until - covered.since
    if wanted_from < wanted_to:
        assert covered.since <= wanted_from < covered.since + covered.unit
        assert covered.until - covered.unit < wanted_to <= covered.until
    else:
        assert (covered.until - covered.since) <= 2 * MINUTE


RANGES = {
    "the default": (None, None, MINUTE, 15 * MINUTE, 97),
    "an hour": (NOW - HOUR, NOW, MINUTE, MINUTE, 61),
    "a week": (NOW - 7 * DAY, None, HOUR, 2 * HOUR, 85),
    "all": (NOW - 90 * DAY, NOW + DAY, HOUR, 8 * HOUR, 91),
    "an hour of last week": (NOW - 7 * DAY, NOW - 7 * DAY + HOUR, HOUR, HOUR, 2),
    "the wrong way round": (NOW, NOW - HOUR, MINUTE, MINUTE, 0),
    "before all": (None, NOW - 60 * DAY, MINUTE, MINUTE, 0),
}


@pytest.mark.parametrize(("since", "until", "unit", "width", "points"), RANGES.values(), ids=RANGES)
def test_points_are_as_wide_as_a_hundred_of_them_need(
    since: datetime | None, until: datetime | None, unit: timedelta, width: timedelta, points: int
) -> None:
    covered = stats_range(since, until, now=NOW)

    assert (covered.unit, covered.width, covered.points) == (unit, width, points)


def test_the_last_day_is_one_point_of_whole_hours() -> None:
    covered = last_day(NOW)

    assert (covered.since, covered.until) == (
        datetime(2026, 2, 28, 12, tzinfo=UTC),
        datetime(2026, 3, 1, 13, tzinfo=UTC),
    )
    assert (covered.width, covered.points, covered.unit) == (25 * HOUR, 1, HOUR)
