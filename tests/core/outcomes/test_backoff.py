"""A retry is never earlier than scheduled, at most a tenth later, and never unbounded."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.outcomes.backoff import MAX_JITTER, parse_retry_after, probe_wait, retry_delay

SCHEDULE = [timedelta(minutes=n) for n in (1, 5, 15, 60, 1440)]
NOW = datetime(2025, 11, 25, 14, 30, tzinfo=UTC)

schedules = st.lists(
    st.timedeltas(min_value=timedelta(milliseconds=1), max_value=timedelta(days=30)), max_size=8
)
jitters = st.floats(0, 1, exclude_max=True)


def test_the_waits_are_those_of_the_schedule_then_none() -> None:
    waits = [retry_delay(attempt, SCHEDULE, jitter=0.0) for attempt in range(1, 8)]

    assert waits == [*SCHEDULE, None, None]


@given(schedule=schedules, jitter=jitters, data=st.data())
def test_a_wait_is_never_shorter_than_scheduled_and_at_most_a_tenth_longer(
    schedule: list[timedelta], jitter: float, data: st.DataObject
) -> None:
    attempt = data.draw(st.integers(1, len(schedule) + 2))

    wait = retry_delay(attempt, schedule, jitter=jitter)

    if attempt > len(schedule):
        assert wait is None
    else:
        assert wait is not None
        assert schedule[attempt - 1] <= wait <= schedule[attempt - 1] * 1.1


@given(jitter=jitters, other=jitters)
def test_more_jitter_never_makes_a_wait_shorter(jitter: float, other: float) -> None:
    low, high = sorted([jitter, other])
    shorter, longer = (retry_delay(1, SCHEDULE, jitter=each) for each in (low, high))

    assert shorter is not None
    assert longer is not None
    assert shorter <= longer


@given(
    requested=st.timedeltas(min_value=timedelta(), max_value=timedelta(days=10_000)),
    attempt=st.integers(1, 5),
    jitter=jitters,
)
def test_a_receiver_may_lengthen_a_wait_up_to_the_longest_step_but_not_shorten_it(
    requested: timedelta, attempt: int, jitter: float
) -> None:
    wait = retry_delay(attempt, SCHEDULE, jitter=jitter, requested=requested)

    assert wait is not None
    least = max(SCHEDULE[attempt - 1], min(requested, SCHEDULE[-1]))
    assert least <= wait <= least * (1 + MAX_JITTER)


def test_a_receiver_cannot_request_an_attempt_beyond_the_schedule() -> None:
    assert retry_delay(6, SCHEDULE, jitter=0.0, requested=timedelta(seconds=1)) is None
    assert retry_delay(1, [], jitter=0.0, requested=timedelta(seconds=1)) is None


def test_the_longest_step_limits_a_request_even_if_it_is_not_the_last() -> None:
    schedule = [timedelta(hours=2), timedelta(minutes=1)]

    assert retry_delay(2, schedule, jitter=0.0, requested=timedelta(days=1)) == timedelta(hours=2)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 120 ", 120),
        ("00120", 120),
        ("000000000000120", 120),
        ("9" * 400, 999_999_999),
        ("9" * 10_000, 999_999_999),
        ("0" * 10_000, 0),
        ("Tue, 25 Nov 2025 14:31:00 GMT", 60),
        ("Tuesday, 25-Nov-25 14:31:00 GMT", 60),
        ("Tue Nov 25 14:31:00 2025", 60),
        ("Tue, 25 Nov 2025 15:31:00 +0100", 60),
        ("Tue, 25 Nov 2025 14:29:00 GMT", 0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(value: str, seconds: int) -> None:
    assert parse_retry_after(value, now=NOW) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value",
    ["", " ", "soon", "-1", "+1", "1.5", "1e3", "0x10", "٣", "²", "12 s", "1,2", "NaN",
     "Tue, 99 Nov 2025 14:31:00 GMT", "Tue, 25 Nov 2025 99:31:00 GMT", "Tue, 25 Nov 99999 1:1:1 Z",
     "Tue, 25 Nov 2025 14:31:00 +9999", "\x00", "\ud800"],
)  # fmt: skip
def test_a_malformed_retry_after_is_ignored(value: str) -> None:
    assert parse_retry_after(value, now=NOW) is None


@given(value=st.one_of(st.text(), st.from_regex(r"\w{3}, \d+ \w{3} \d+ \d+:\d+:\d+ [-+]?\w+")))
def test_no_text_makes_retry_after_raise_or_return_a_negative_delay(value: str) -> None:
    delay = parse_retry_after(value, now=NOW)

    assert delay is None or delay >= timedelta()


@given(seconds=st.integers(0, 10**9 - 1))
def test_any_number_of_seconds_is_returned_unchanged(seconds: int) -> None:
    assert parse_retry_after(str(seconds), now=NOW) == timedelta(seconds=seconds)


@given(wait=st.integers(0, 10**9))
def test_any_date_is_returned_as_the_wait_until_then(wait: int) -> None:
    until = NOW + timedelta(seconds=wait)

    assert parse_retry_after(format_datetime(until, usegmt=True), now=NOW) == timedelta(
        seconds=wait
    )


@pytest.mark.parametrize("attempt", [0, -1, -10, -(2**31)])
def test_an_attempt_number_below_one_counts_as_the_first(attempt: int) -> None:
    assert retry_delay(attempt, SCHEDULE, jitter=0.0) == SCHEDULE[0]
    assert retry_delay(attempt, [], jitter=0.0) is None


def test_an_endpoint_that_is_failing_is_tried_after_one_second_then_two_then_four() -> None:
    waits = [probe_wait(failed, timedelta(minutes=1)).total_seconds() for failed in range(8)]

    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


@given(
    failed=st.integers(0, 2**31 - 1),
    longest=st.timedeltas(timedelta(), timedelta(days=1)),
)
def test_the_wait_for_a_probe_never_shrinks_nor_exceeds_the_longest(
    failed: int, longest: timedelta
) -> None:
    wait = probe_wait(failed, longest)

    assert wait <= probe_wait(failed + 1, longest) <= longest
    assert wait == longest or wait >= timedelta(seconds=1)
