"""Percentiles that are estimated from buckets."""

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.outcomes.durations import BOUNDS_MS, LONGEST_MS, duration_bucket, percentile_ms


def counted(durations: list[int]) -> list[int]:
    counts = [0] * len(BOUNDS_MS)
    for each in durations:
        counts[duration_bucket(each)] += 1
    return counts


@given(
    st.lists(st.integers(0, LONGEST_MS), min_size=1), st.sampled_from([0.01, 0.5, 0.95, 0.99, 1.0])
)
def test_an_estimate_is_less_than_a_fifth_off(durations: list[int], fraction: float) -> None:
    true = sorted(durations)[ceil(fraction * len(durations)) - 1]

    estimate = percentile_ms(counted(durations), fraction)

    assert estimate is not None
    assert abs(estimate - true) < max(true, 5.001) / 5


@pytest.mark.parametrize("fraction", [0.5, 0.95])
def test_durations_in_one_bucket_are_spread_over_it(fraction: float) -> None:
    bucket = duration_bucket(1000)
    lower, upper = BOUNDS_MS[bucket - 1], BOUNDS_MS[bucket]

    estimate = percentile_ms([0] * bucket + [1000], fraction)

    assert estimate == pytest.approx(lower + fraction * (upper - lower), abs=2)


def test_without_attempts_there_is_no_percentile() -> None:
    assert percentile_ms([], 0.5) is None
    assert percentile_ms([0, 0, 0], 0.95) is None


def test_each_duration_is_in_the_bucket_of_its_bounds() -> None:
    """The bounds are stored by position: these must never change."""
    assert (BOUNDS_MS[:9], BOUNDS_MS[-1], len(BOUNDS_MS)) == (
        (1, 2, 3, 4, 5, 6, 7, 8, 10),
        LONGEST_MS,
        56,
    )
    for bucket, bound in enumerate(BOUNDS_MS):
        assert duration_bucket(bound) == bucket
    assert [duration_bucket(each) for each in (-1, 0, 10**9)] == [0, 0, 55]
