"""How much is taken at once follows how long it took."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.scheduling.batch_size import BatchSize


def appetite() -> BatchSize:
    return BatchSize(least=10, most=80, seconds=0.1)


def test_it_begins_with_little() -> None:
    assert appetite().size == 10


@pytest.mark.parametrize(
    ("took", "size"), [(0.04, 40), (0.05, 20), (0.1, 20), (0.11, 10), (float("inf"), 10)]
)
def test_it_doubles_after_what_was_quick_and_halves_after_what_was_not(
    took: float, size: int
) -> None:
    it = appetite()
    it.took(0.0)

    it.took(took)

    assert it.size == size


@given(st.lists(st.floats(0, 10)))
def test_it_stays_within_its_bounds(steps: list[float]) -> None:
    it = appetite()
    for took in steps:
        it.took(took)

    assert 10 <= it.size <= 80
