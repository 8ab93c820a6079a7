"""Values are found as the filters' rule says, in pieces, and once for all conditions."""

from hypothesis import given

from daemon.core.matching.event_data import AT_ONCE, EventData, comparison_keys
from tests.core.matching.subscriptions import matcher_of, values

BIG = {"items": [{"id": n, "tags": ["a", f"tag-{n}"]} for n in range(20 * AT_ONCE)]}


def test_a_large_array_is_searched_in_pieces() -> None:
    data = EventData(BIG)

    steps = sum(1 for _ in data.search(("items", "tags")))

    assert steps >= 40
    assert ("tag-7" in {key for _, key in data.keys_at(("items", "tags"))}) is True
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
