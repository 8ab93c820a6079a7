"""The size of a batch follows how long the last one took."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.scheduling.batch_size import BatchSize


def batch_size() -> BatchSize:
    return BatchSize(least=10, most=80, seconds=0.1)


def test_the_first_batch_has_the_least_size() -> None:
    assert batch_size().size == 10


@pytest.mark.parametrize(
    ("took", "size"), [(0.04, 40), (0.05, 20), (0.1, 20), (0.11, 10), (float("inf"), 10)]
)
def test_the_size_doubles_after_a_quick_step_and_halves_after_a_slow_one(
    took: float, size: int
) -> None:
    batches = batch_size()
    batches.took(0.0)

    batches.took(took)

    assert batches.size == size


@given(st.lists(st.floats(0, 10)))
def test_the_size_stays_within_its_bounds(steps: list[float]) -> None:
    batches = batch_size()
    for took in steps:
        batches.took(took)

    assert 10 <= batches.size <= 80
