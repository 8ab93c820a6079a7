"""Filters as fields and as JSON: whatever a filter is, no view changes it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.admin.api.problems import Problem
from daemon.admin.console.subscription_fields import (
    event_filters,
    filter_fields,
    json_fields,
    text_of,
    values_in,
)

texts = st.text(max_size=20)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
lists = st.lists(scalars, min_size=1, max_size=4)
paths = st.lists(st.sampled_from(["contact", "tags", "a b", "ö", "0"]), min_size=1).map(".".join)
filters = st.fixed_dictionaries(
    {},
    optional={
        "workspaces": st.lists(texts | st.integers(), min_size=1, max_size=3),
        "campaign_ids": st.lists(texts | st.integers(), min_size=1, max_size=3),
        "filters": st.dictionaries(paths, scalars | lists, min_size=1, max_size=3),
        "event_types": st.just(["email.*"]),
    },
)


@given(lists)
def test_a_field_holds_every_list_of_values(values: list[Any]) -> None:
    read = values_in(text_of(values))

    assert read == values
    assert list(map(type, read)) == list(map(type, values))


def plain(value: Any) -> Any:
    """The filter with lists of one value as that value, which means the same."""
    if not isinstance(value, dict) or "filters" not in value:
        return value
    conditions = {
        path: each[0] if isinstance(each, list) and len(each) == 1 else each
        for path, each in value["filters"].items()
    }
    return value | {"filters": conditions}


@given(filters)
def test_both_views_are_the_same_filter(given_filter: dict[str, Any]) -> None:
    wanted = given_filter or None

    read = event_filters(filter_fields(given_filter))

    assert event_filters(json_fields(wanted)) == wanted
    assert plain(read) == plain(wanted)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("vip, premium", ["vip", "premium"]),
        ('7, "7", true, null, 1.50', [7, "7", True, None, 1.5]),
        ('"a, b",c', ["a, b", "c"]),
        (" , ,", []),
        ("[1], {}", ["[1]", "{}"]),
        ('"open', ['"open']),
        ("12345678901234567890123", [12345678901234567890123]),
        ("NaN, Infinity, 007", ["NaN", "Infinity", "007"]),
    ],
)
def test_values_are_read_as_a_person_means_them(text: str, values: list[Any]) -> None:
    assert values_in(text) == values


def test_a_list_of_one_value_is_shown_as_fields() -> None:
    fields = filter_fields({"filters": {"contact.tags": ["vip"]}})

    assert fields == {"path.0": "contact.tags", "value.0": "vip"}


@pytest.mark.parametrize("stored", ["text", ["a"], {"filters": "x"}, {"workspaces": {}}, {"x": 1}])
def test_a_filter_that_is_not_of_the_form_is_shown_as_json(stored: Any) -> None:
    assert event_filters(filter_fields(stored)) == stored


def test_what_is_no_json_is_refused_in_its_place() -> None:
    for text in ("{", "NaN", "[" * 5000):
        with pytest.raises(Problem) as refused:
            event_filters({"filterView": "json", "eventFilters": text})
        assert refused.value.field_errors[0].place == "#/eventFilters"
