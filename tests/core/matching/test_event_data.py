"""Values are found as the filters' rule says, in pieces, and once for all conditions."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from daemon.core.matching.event_data import AT_ONCE, EventData, comparison_key, comparison_keys
from tests.core.matching.subscriptions import matcher_of, values

BIG = {"items": [{"id": n, "tags": ["a", f"tag-{n}"]} for n in range(20 * AT_ONCE)]}


def test_a_large_array_is_searched_in_pieces() -> None:
    data = EventData(BIG)

    steps = sum(1 for _ in data.search(("items", "tags")))

    assert steps >= 40
    assert "tag-7" in data.keys_at(("items", "tags"))
    assert sum(1 for _ in data.search(("items", "tags"))) == 0  # found before


def test_deciding_gives_way_within_each_condition() -> None:
    matcher = matcher_of(None, {"filters": {"items.id": 9_999, "items.tags": "tag-9999"}})
    data = EventData(BIG)

    steps = sum(1 for _ in matcher.decide(data))

    assert steps >= 80
    assert matcher.matches_data(BIG)


@given(values)
def test_the_scalars_of_an_array_are_its_elements_but_not_those_of_arrays_in_it(
    value: object,
) -> None:
    keys = EventData({"a": value}).keys_at(("a",))

    expected = value if isinstance(value, list) else [value]
    scalars = [each for each in expected if not isinstance(each, list | dict)]
    assert keys == comparison_keys(scalars)


numbers = st.one_of(
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.decimals(allow_nan=False, allow_infinity=False, min_value=Decimal("1.8e308")),
)


@given(numbers, numbers)
@example(1, 1.0)
@example(2**53, float(2**53))
@example(2**60, float(2**60))
@example(2**53 + 1, float(2**53))
@example(10**400, Decimal("1e400"))
@example(Decimal("1e308") * 2, Decimal("2.0e308"))
@example(-(2**70), float(-(2**70)))
def test_numbers_have_the_same_key_exactly_if_they_are_equal(one: Any, other: Any) -> None:
    assert (comparison_key(one) == comparison_key(other)) is (Fraction(one) == Fraction(other))


MODULUS = 2**61 - 1


@pytest.mark.parametrize(
    "chosen",
    [
        [MODULUS * n for n in range(1, 10_001)],
        [-MODULUS * n for n in range(1, 10_001)],
        [7 + MODULUS * n for n in range(1, 10_001)],
        [Decimal(f"{n}e400") * MODULUS for n in range(1, 10_001)],
    ],
)
def test_no_chosen_numbers_have_one_hash(chosen: list[object]) -> None:
    """A set or a dictionary of them would compare each with each."""
    hashes = {hash(key) for key in comparison_keys(chosen)}

    assert len(hashes) > 9_990


def test_only_few_floats_have_one_hash() -> None:
    """Floats of one hash differ by a power of 2**61, and doubles have 34 of these."""
    hashes = {
        hash(comparison_key(m * 2.0 ** (61 * j))) for m in range(1, 300) for j in range(-17, 17)
    }

    assert len(hashes) > 299 * 16
