"""Durations as text."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.config import format_duration, parse_duration


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=999_999_999)))
def test_a_formatted_duration_parses_back_to_the_millisecond(duration: timedelta) -> None:
    millisecond = timedelta(milliseconds=1)

    parsed = parse_duration(format_duration(duration))

    assert parsed == duration // millisecond * millisecond


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "s",
        "5 s",
        "-5s",
        "1.5s",
        "5S",
        "1m1h",
        "5s5s",
        "\u0665s",
        "1d1w",
        "1y",
        "5s\n",
        None,
        5,
        [],
    ],
)
def test_anything_but_a_duration_is_rejected(text: object) -> None:
    with pytest.raises(ValueError, match="must be a duration like"):
        parse_duration(text)


def test_a_duration_beyond_the_range_of_timedelta_is_rejected() -> None:
    with pytest.raises(ValueError, match="and shorter"):
        parse_duration("999999999d99h")


def test_weeks_are_read_and_printed_in_days() -> None:
    assert parse_duration("1w2d") == timedelta(days=9)
    assert format_duration(timedelta(weeks=1)) == "7d"
