"""Times of day, which name the date and the year where they are not today's."""

from datetime import UTC, datetime, timedelta

import pytest

from daemon.admin.console import times

NOW = datetime(2026, 3, 5, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "shown"),
    [
        (datetime(2026, 3, 5, 1, 2, 3, tzinfo=UTC), ">01:02:03<"),
        (datetime(2026, 3, 4, 23, tzinfo=UTC), ">Mar 04, 23:00:00<"),
        (datetime(2020, 1, 1, tzinfo=UTC), ">2020-01-01, 00:00:00<"),
    ],
)
def test_a_time_is_shown_with_what_tells_its_day(at: datetime, shown: str) -> None:
    assert shown in times.clock(at, now=NOW)


@pytest.mark.parametrize(
    ("passed", "shown"), [(-1.2, ">in 1 s<"), (-0.4, ">now<"), (0.4, ">now<"), (3, ">3 s ago<")]
)
def test_a_clock_that_is_a_little_ahead_shows_no_future(passed: float, shown: str) -> None:
    assert shown in times.relative(NOW - timedelta(seconds=passed), now=NOW)
