"""An event matches by its type and by the values in its data (contract, section 3)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.event_types import EVENT_TYPES, sample_data
from daemon.core.matching.compiler import compile_subscription
from daemon.core.matching.matcher import Matcher
from daemon.core.wire.json_value import parse_json
from tests.core.matching.subscriptions import OPENED, matcher_of, matches, scalars


@pytest.mark.parametrize("event_types", [None, [], ["*"], ["contact.created", "*"]])
@pytest.mark.parametrize(
    "filters", [None, {}, {"event_types": []}, {"event_types": ["*"]}, {"filters": {}}]
)
def test_an_empty_subscription_matches_every_event(
    event_types: list[str] | None, filters: object
) -> None:
    everything = matcher_of(event_types, filters)

    assert everything.matches(OPENED, None)
    assert everything.matches("something.newer", {"a": 1})
    assert not everything.needs_data


@pytest.mark.parametrize(
    ("entry", "event_type", "expected"),
    [
        ("email.opened", "email.opened", True),
        ("email.opened", "email.openedx", False),
        ("email.opened", "Email.opened", False),
        ("email.*", "email.opened", True),
        ("email.*", "email.opened.twice", True),
        ("email.*", "email.", True),
        ("email.*", "email", False),
        ("email.*", "emails.opened", False),
        ("email.*", "xemail.opened", False),
        ("email*", "email.opened", False),
        ("*.opened", "email.opened", False),
        ("email.o?ened", "email.opened", False),
        ("email.[o]pened", "email.opened", False),
        ("email.op*", "email.opened", False),
        ("e.ail.*", "email.opened", False),
        (".*", "email.opened", False),
        ("", "email.opened", False),
    ],
)
def test_only_a_final_dot_star_is_a_wildcard(entry: str, event_type: str, expected: bool) -> None:
    by_column = matcher_of([entry])
    by_filter = matcher_of(None, {"event_types": [entry]})

    assert by_column.matches(event_type, None) is expected
    assert by_filter.matches(event_type, None) is expected


def test_any_entry_may_match_but_the_column_and_the_filter_must_both_match() -> None:
    both = matcher_of(
        ["email.*", "contact.created"], {"event_types": ["email.opened", "contact.*"]}
    )

    matched = [each.name for each in EVENT_TYPES if both.matches(each.name, None)]
    assert matched == ["email.opened", "contact.created"]


@given(st.lists(st.sampled_from([each.name for each in EVENT_TYPES]), min_size=1))
def test_exactly_the_named_types_match(event_types: list[str]) -> None:
    subscribed = matcher_of(event_types)

    matched = {
        each.name for each in EVENT_TYPES if subscribed.matches(each.name, sample_data(each.name))
    }
    assert matched == set(event_types)


def test_the_example_filter_of_the_specification_matches_the_events_it_describes() -> None:
    filters = {
        "event_types": ["email.opened", "email.clicked"],
        "filters": {"contact.tags": ["vip", "premium"], "campaign.type": "promotional"},
    }
    data = {"contact": {"tags": ["new", "premium"]}, "campaign": {"type": "promotional"}}

    assert matches(filters, data)
    assert not matches(filters, data, event_type="email.sent")
    assert not matches(filters, data | {"contact": {"tags": ["new"]}})
    assert not matches(filters, data | {"campaign": {"type": "newsletter"}})


@pytest.mark.parametrize(
    ("wanted", "found", "equal"),
    [
        (1, 1, True),
        (1, 1.0, True),
        (1.5, 1.50, True),
        (0, -0.0, True),
        (1, True, False),
        (True, True, True),
        (True, 1, False),
        (False, 0, False),
        (None, None, True),
        (None, False, False),
        (None, "", False),
        ("1", 1, False),
        ("vip", "VIP", False),
        ("vip", "vip", True),
        (["a", "b"], "b", True),
        (["a", None], None, True),
        (["a", 1], True, False),
        ("b", ["a", "b"], True),
        (["x", "b"], ["a", "b"], True),
        ("b", [], False),
        ("b", [["b"]], False),
        ("b", {"b": "b"}, False),
        (12345678901234567890123, 12345678901234567890123, True),
        (12345678901234567890123, 12345678901234567890124, False),
        (9007199254740993, 9007199254740992, False),
    ],
)
def test_values_are_compared_as_json_values(wanted: object, found: object, equal: bool) -> None:
    assert matches({"filters": {"a": wanted}}, {"a": found}) is equal


@pytest.mark.parametrize("digits", [20, 309, 4299, 4300, 16_000])
@pytest.mark.parametrize("after", ["", ".5"])
def test_long_numbers_are_compared_in_full(digits: int, after: str) -> None:
    number = "9" * digits + after
    compiled = compile_subscription(None, f'{{"filters": {{"a": {number}}}}}')

    assert isinstance(compiled, Matcher)
    assert compiled.matches(OPENED, parse_json(f'{{"a": {number}}}'))
    assert not compiled.matches(OPENED, parse_json(f'{{"a": 8{number[1:]}}}'))
    assert not compiled.matches(OPENED, parse_json(f'{{"a": -{number}}}'))


@pytest.mark.parametrize(
    "data",
    [
        {"workspace_id": "ws_1"},
        {"workspaceId": "ws_1"},
        {"workspace": {"id": "ws_1"}},
        {"workspace": {"name": "Client A"}},
        {"workspace_id": "ws_2", "workspace": {"name": "Client A"}},
    ],
)
def test_a_workspace_matches_by_id_or_name(data: object) -> None:
    filters = {"workspaces": ["Client A", "ws_1"]}

    assert matches(filters, data)
    assert not matches({"workspaces": ["Client B"]}, data)


@pytest.mark.parametrize(
    "data", [{"campaign_id": "camp_1"}, {"campaignId": "camp_1"}, {"campaign": {"id": "camp_1"}}]
)
def test_a_campaign_matches_by_id(data: object) -> None:
    filters = {"campaign_ids": ["camp_1"]}

    assert matches(filters, data)
    assert not matches({"campaign_ids": ["camp_2"]}, data)
    assert not matches(filters, {"campaign": {"name": "camp_1"}})


def test_all_members_of_a_filter_must_match() -> None:
    filters = {"workspaces": ["w"], "campaign_ids": ["c"], "filters": {"x": 1, "y": 2}}
    data = {"workspace_id": "w", "campaign_id": "c", "x": 1, "y": 2}

    assert matches(filters, data)
    assert not any(matches(filters, data | {name: "other"}) for name in data)


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), scalars, min_size=1))
def test_a_filter_made_of_the_data_matches_the_data(data: dict[str, Any]) -> None:
    assert matches({"filters": data}, data)
    assert matches({"filters": {name: [value] for name, value in data.items()}}, data)
    assert not matches({"filters": data | {"missing": 1}}, data)


def test_a_matcher_needs_the_data_only_if_it_has_conditions_on_it() -> None:
    assert not matcher_of(["email.*"], {"event_types": ["email.sent"]}).needs_data
    assert matcher_of(None, {"campaign_ids": ["c"]}).needs_data
