"""A subscription of the right shape and size compiles; any other is unusable and says why."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.matching.compiler import UnusableFilter, compile_subscription
from daemon.core.matching.matcher import Matcher
from tests.core.matching.subscriptions import OPENED, compile_values, values

LARGEST: list[Any] = [
    {"filters": {"x" * (16 * 1024 - 20): 1}},
    {"filters": {f"p{n}": n for n in range(100)}},
    {"filters": {".".join(["aB"] * 16): 1}},
    {"filters": {"a": list(range(999)), "b": 1}},
    {"event_types": [f"t{n}" for n in range(100)]},
    {"workspaces": list(range(1000)), "campaign_ids": list(range(1000))},
]
TOO_LARGE: list[tuple[Any, str]] = [
    ({"filters": {"x" * (16 * 1024 - 19): 1}}, "event_filters: must be at most 16384 characters"),
    ({"filters": {f"p{n}": n for n in range(101)}}, "event_filters.filters: at most"),
    ({"filters": {".".join(["aB"] * 17): 1}}, 'event_filters.filters: "aB.aB.aB'),
    ({"filters": {"a": list(range(1000)), "b": 1}}, "event_filters.filters: at most"),
    ({"event_types": [f"t{n}" for n in range(101)]}, "event_filters.event_types: at most"),
    ({"workspaces": list(range(1001))}, "event_filters.workspaces: at most 1000 entries are"),
    ({"campaign_ids": list(range(1001))}, "event_filters.campaign_ids: at most"),
]


@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        ("[]", "event_filters: must be an object, not a list."),
        ('"email.opened"', "event_filters: must be an object, not a string."),
        ("0", "event_filters: must be an object, not a number."),
        ("false", "event_filters: must be an object, not false."),
        ("{", "event_filters: this is not JSON."),
        ('{"eventTypes": []}', 'event_filters: there is no filter "eventTypes"; there are'),
        ('{"event_types": "email.*"}', "event_filters.event_types: must be a list of event types"),
        ('{"event_types": ["a", 1]}', "event_filters.event_types: a number is not an event type."),
        ('{"event_types": [null]}', "event_filters.event_types: null is not an event type."),
        ('{"workspaces": "Client A"}', "event_filters.workspaces: must be a list, not a string."),
        ('{"workspaces": null}', "event_filters.workspaces: must be a list, not null."),
        ('{"workspaces": []}', "event_filters.workspaces: the list is empty"),
        ('{"campaign_ids": {"a": 1}}', "event_filters.campaign_ids: must be a list, not an object"),
        (
            '{"campaign_ids": [["a"]]}',
            "event_filters.campaign_ids: must contain strings or numbers",
        ),
        ('{"campaign_ids": [true]}', "event_filters.campaign_ids: must contain strings or numbers"),
        ('{"filters": ["a"]}', "event_filters.filters: must be an object of paths and values"),
        ('{"filters": {"a": {"b": 1}}}', 'event_filters.filters: "a" must be a string, a number'),
        ('{"filters": {"a": [[1]]}}', 'event_filters.filters: "a" must be a string, a number'),
        ('{"filters": {"a": []}}', 'event_filters.filters: the list of "a" is empty'),
        ('{"filters": {"a..b": 1}}', 'event_filters.filters: "a..b" is not a path'),
        ('{"filters": {"": 1}}', 'event_filters.filters: "" is not a path'),
        ('{"event_types": [], "x": 1}', 'event_filters: there is no filter "x"'),
        ("[" * 6000 + "]" * 6000, "event_filters: must be an object, not a list."),
    ],
)
def test_a_malformed_filter_is_unusable_and_says_why(filters: str, reason: str) -> None:
    compiled = compile_subscription(None, filters)

    assert isinstance(compiled, UnusableFilter)
    assert compiled.reason.startswith(reason)


def test_a_reason_does_not_quote_a_long_name_in_full() -> None:
    compiled = compile_values(None, {"x" * 10_000: 1})

    assert isinstance(compiled, UnusableFilter)
    assert len(compiled.reason) < 300


@pytest.mark.parametrize("filters", LARGEST, ids=range(len(LARGEST)))
def test_a_filter_at_a_limit_compiles(filters: Any) -> None:
    assert isinstance(compile_values(None, filters), Matcher)


@pytest.mark.parametrize(("filters", "reason"), TOO_LARGE, ids=range(len(TOO_LARGE)))
def test_a_filter_beyond_a_limit_is_unusable_and_says_why(filters: Any, reason: str) -> None:
    compiled = compile_values(None, filters)

    assert isinstance(compiled, UnusableFilter)
    assert compiled.reason.startswith(reason)
    assert len(compiled.reason) < 300


def test_the_length_of_a_filter_is_checked_before_it_is_parsed() -> None:
    compiled = compile_subscription(None, "{" * (16 * 1024 + 1))

    assert isinstance(compiled, UnusableFilter)
    assert "characters long" in compiled.reason


@pytest.mark.parametrize(
    ("event_types", "reason"),
    [
        ((["a", "b"], ["c", "d"]), "event_types: a list is not an event type."),
        (("a", ["b"]), "event_types: a list is not an event type."),
        (("a",) * 101, "event_types: at most 100 entries are allowed."),
        (("a" * 16_000, "b" * 16_000), "event_types: must be at most 16384 characters together."),
    ],
    ids=range(4),
)
def test_a_column_that_is_not_a_short_list_of_types_is_unusable(
    event_types: Any, reason: str
) -> None:
    assert compile_subscription(event_types, None) == UnusableFilter(reason)


def test_a_filter_of_json_null_matches_every_event() -> None:
    compiled = compile_subscription(None, "null")

    assert isinstance(compiled, Matcher)
    assert compiled.matches(OPENED, None)


def test_a_null_in_the_column_of_types_matches_no_type() -> None:
    compiled = compile_subscription((None, "email.sent"), None)  # type: ignore[arg-type]

    assert isinstance(compiled, Matcher)
    assert compiled.matches("email.sent", None)
    assert not compiled.matches(OPENED, None)


@given(st.lists(st.text(max_size=12)) | st.none(), values, st.text(max_size=12), values)
def test_compiling_and_matching_never_raise_for_any_text_of_the_application(
    event_types: list[str] | None, filters: object, event_type: str, data: object
) -> None:
    compiled = compile_values(event_types, filters)

    match compiled:
        case Matcher():
            assert compiled.matches(event_type, data) in {True, False}
        case UnusableFilter():
            assert compiled.reason.startswith("event_filters")
            assert compiled.reason.endswith(".")
