"""Names of event types are judged in one way; a subscription that nothing can match says so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.matching.compiler import compile_subscription
from daemon.core.matching.coverage import NOTHING_IN_COMMON, reason_for_no_match
from daemon.core.matching.type_names import listed_types, reason_against

NAMES = st.sampled_from(
    ["a", "a.b", "a.b.c", "ab", "b.a", "a.*", "a.b.*", "b.*", "*", "*.a", "a*", "", "a ", "x.y"]
)
LISTS = st.none() | st.lists(NAMES | st.none(), max_size=4)
TYPES = [
    *("", "a", "a ", "a*", "*.a", "a.", "a.b", "a.b.", "a.b.c", "a.x", "ab", "b.", "b.a", "b.x"),
    *("x.y", "z", "*", "a.*", "a.b.*", "b.*"),
]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, True) for name in ("email.opened", "email.*", "*", "order-paid", "A.b_C.9.*")),
        *((name, False) for name in ("*.opened", "email*", "email.opened ", " email.opened", "")),
        *((name, False) for name in ("email.", ".email", "email..x", "email.*.x", "email\n", "é")),
        *((("x" * 100), True), (("x" * 101), False)),
    ],
)
def test_a_name_is_a_type_or_a_wildcard(name: str, expected: bool) -> None:
    assert (reason_against(name) is None) is expected


@given(LISTS, st.none() | st.lists(NAMES, max_size=4))
def test_a_reason_is_given_exactly_if_no_type_matches(
    event_types: list[str] | None, in_filters: list[str] | None
) -> None:
    import json

    filters = json.dumps({"event_types": in_filters})
    matcher = compile_subscription(None if event_types is None else tuple(event_types), filters)

    matched = [each for each in TYPES if matcher.matches_type(each)]  # type: ignore[union-attr]

    assert (reason_for_no_match(matcher) is None) == bool(matched), matched


def test_lists_without_a_common_type_and_unusable_filters_have_a_sentence() -> None:
    disjoint = compile_subscription(("email.*",), '{"event_types": ["campaign.*"]}')
    unusable = compile_subscription(None, '{"workspaces": []}')

    assert reason_for_no_match(disjoint) == NOTHING_IN_COMMON
    assert "the list is empty" in str(reason_for_no_match(unusable))


def test_names_are_listed_from_any_row() -> None:
    assert listed_types((["a", None], "b"), '{"event_types": ["c", 1, null]}') == {
        "eventTypes": ["a", "b"],
        "eventFilters.event_types": ["c"],
    }
    for odd in (None, "no JSON", "[]", '{"event_types": {}}', " " * 20_000):
        assert listed_types(None, odd)["eventFilters.event_types"] == []
