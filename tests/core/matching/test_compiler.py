import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.event_types import EVENT_TYPES, sample_data
from daemon.core.matching.compiler import UnusableFilter, compile_subscription
from daemon.core.matching.matcher import Matcher
from daemon.core.wire.json_value import parsed

OPENED = "email.opened"

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.sampled_from(["vip", "promotional", "email.opened", "*", "1"]),
)
names = st.sampled_from(
    ["event_types", "workspaces", "campaign_ids", "filters", "contact", "tags", "campaignId", "id"]
) | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)


def matcher(event_types: list[str] | None = None, filters: object = None) -> Matcher:
    compiled = compiled_from(event_types, filters)
    assert isinstance(compiled, Matcher), compiled
    return compiled


def compiled_from(event_types: list[str] | None, filters: object) -> Matcher | UnusableFilter:
    return compile_subscription(
        None if event_types is None else tuple(event_types),
        None if filters is None else json.dumps(filters),
    )


def wants(filters: object, data: object, *, event_type: str = OPENED) -> bool:
    return matcher(None, filters).wants(event_type, parsed(json.dumps(data)))


@pytest.mark.parametrize("event_types", [None, [], ["*"], ["contact.created", "*"]])
@pytest.mark.parametrize(
    "filters", [None, {}, {"event_types": []}, {"event_types": ["*"]}, {"filters": {}}]
)
def test_a_webhook_that_names_nothing_gets_everything(
    event_types: list[str] | None, filters: object
) -> None:
    everything = matcher(event_types, filters)

    assert everything.wants(OPENED, None)
    assert everything.wants("something.newer", {"a": 1})
    assert not everything.needs_data


@pytest.mark.parametrize(
    ("entry", "event_type", "taken"),
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
def test_only_a_final_dot_star_is_a_wildcard(entry: str, event_type: str, taken: bool) -> None:
    by_column = matcher([entry])
    by_filter = matcher(None, {"event_types": [entry]})

    assert by_column.wants(event_type, None) is taken
    assert by_filter.wants(event_type, None) is taken


def test_any_entry_may_match_but_column_and_filter_both_must() -> None:
    both = matcher(["email.*", "contact.created"], {"event_types": ["email.opened", "contact.*"]})

    wanted = [each.name for each in EVENT_TYPES if both.wants(each.name, None)]
    assert wanted == ["email.opened", "contact.created"]


def test_a_null_in_the_array_of_types_names_no_type() -> None:
    compiled = compile_subscription((None, "email.sent"), None)  # type: ignore[arg-type]

    assert isinstance(compiled, Matcher)
    assert compiled.wants("email.sent", None)
    assert not compiled.wants(OPENED, None)


def test_the_specifications_own_filter_finds_what_it_describes() -> None:
    filters = {
        "event_types": ["email.opened", "email.clicked"],
        "filters": {"contact.tags": ["vip", "premium"], "campaign.type": "promotional"},
    }
    data = {"contact": {"tags": ["new", "premium"]}, "campaign": {"type": "promotional"}}

    assert wants(filters, data)
    assert not wants(filters, data, event_type="email.sent")
    assert not wants(filters, data | {"contact": {"tags": ["new"]}})
    assert not wants(filters, data | {"campaign": {"type": "newsletter"}})


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
def test_values_are_equal_as_json_values_are(wanted: object, found: object, equal: bool) -> None:
    assert wants({"filters": {"a": wanted}}, {"a": found}) is equal


@pytest.mark.parametrize("digits", [20, 309, 4299, 4300, 16_000])
@pytest.mark.parametrize("after", ["", ".5"])
def test_numbers_of_any_length_are_told_apart(digits: int, after: str) -> None:
    number = "9" * digits + after
    compiled = compile_subscription(None, f'{{"filters": {{"a": {number}}}}}')

    assert isinstance(compiled, Matcher)
    assert compiled.wants(OPENED, parsed(f'{{"a": {number}}}'))
    assert not compiled.wants(OPENED, parsed(f'{{"a": 8{number[1:]}}}'))
    assert not compiled.wants(OPENED, parsed(f'{{"a": -{number}}}'))


@pytest.mark.parametrize(
    ("path", "data", "found"),
    [
        ("campaign_id", {"campaign_id": 1}, True),
        ("campaign_id", {"campaignId": 1}, True),
        ("campaignId", {"campaign_id": 1}, True),
        ("campaignId", {"campaignId": 1}, True),
        ("campaign_id", {"campaign_id": 2, "campaignId": 1}, False),
        ("campaignId", {"campaignId": None, "campaign_id": 1}, False),
        ("ip_address", {"ipAddress": 1}, True),
        ("emailID", {"email_id": 1}, True),
        ("HTMLBody", {"html_body": 1}, True),
        ("line_1", {"line1": 1}, True),
        ("_id", {"Id": 1}, False),
        ("_id", {"_id": 1}, True),
        ("the_contact.first_name", {"theContact": {"first_name": 1}}, True),
        ("the_contact.firstName", {"theContact": {"first_name": 1}}, True),
        ("a.b", {"a": {"b": 1}}, True),
        ("a.b", {"a.b": 1}, False),
        ("a.b", {"a": {"c": 1}}, False),
        ("a.b", {"a": 1}, False),
        ("a.b", {"a": "b"}, False),
        ("a.b", {"a": None}, False),
        ("a", None, False),
        ("a", 1, False),
        ("a", "a", False),
        ("contacts.id", {"contacts": [{"id": 2}, {"id": 1}]}, True),
        ("contacts.id", {"contacts": [{"id": 2}, 1, None, []]}, False),
        ("a.b.c", {"a": [{"b": [{"c": 2}, {"c": [3, 1]}]}]}, True),
        ("a", [{"a": 1}], True),
        ("a.0", {"a": [1]}, False),
    ],
)
def test_a_path_is_followed_in_either_spelling_and_through_arrays(
    path: str, data: object, found: bool
) -> None:
    assert wants({"filters": {path: 1}}, data) is found


def test_a_missing_path_is_not_null() -> None:
    assert wants({"filters": {"a": None}}, {"a": None})
    assert not wants({"filters": {"a": None}}, {})
    assert not wants({"filters": {"a.b": None}}, {"a": None})


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
def test_a_workspace_is_known_by_its_id_or_name(data: object) -> None:
    filters = {"workspaces": ["Client A", "ws_1"]}

    assert wants(filters, data)
    assert not wants({"workspaces": ["Client B"]}, data)


@pytest.mark.parametrize(
    "data", [{"campaign_id": "camp_1"}, {"campaignId": "camp_1"}, {"campaign": {"id": "camp_1"}}]
)
def test_a_campaign_is_known_by_its_id(data: object) -> None:
    filters = {"campaign_ids": ["camp_1"]}

    assert wants(filters, data)
    assert not wants({"campaign_ids": ["camp_2"]}, data)
    assert not wants(filters, {"campaign": {"name": "camp_1"}})


def test_all_members_of_a_filter_must_hold() -> None:
    filters = {"workspaces": ["w"], "campaign_ids": ["c"], "filters": {"x": 1, "y": 2}}
    data = {"workspace_id": "w", "campaign_id": "c", "x": 1, "y": 2}

    assert wants(filters, data)
    assert not any(wants(filters, data | {name: "other"}) for name in data)


@pytest.mark.parametrize(
    ("filters", "reason"),
    [
        ("[]", "event_filters: must be an object, not a list."),
        ('"email.opened"', "event_filters: must be an object, not a text."),
        ("0", "event_filters: must be an object, not a number."),
        ("false", "event_filters: must be an object, not false."),
        ("{", "event_filters: this is not JSON."),
        ('{"eventTypes": []}', 'event_filters: there is no filter "eventTypes"; there are'),
        ('{"event_types": "email.*"}', "event_filters.event_types: must be a list of event types"),
        ('{"event_types": ["a", 1]}', "event_filters.event_types: a number is not an event type."),
        ('{"event_types": [null]}', "event_filters.event_types: null is not an event type."),
        ('{"workspaces": "Client A"}', "event_filters.workspaces: must be a list, not a text."),
        ('{"workspaces": null}', "event_filters.workspaces: must be a list, not null."),
        ('{"workspaces": []}', "event_filters.workspaces: the list is empty"),
        ('{"campaign_ids": {"a": 1}}', "event_filters.campaign_ids: must be a list, not an object"),
        ('{"campaign_ids": [["a"]]}', "event_filters.campaign_ids: must hold texts or numbers"),
        ('{"campaign_ids": [true]}', "event_filters.campaign_ids: must hold texts or numbers"),
        ('{"filters": ["a"]}', "event_filters.filters: must be an object of paths and values"),
        ('{"filters": {"a": {"b": 1}}}', 'event_filters.filters: "a" must be a text, a number'),
        ('{"filters": {"a": [[1]]}}', 'event_filters.filters: "a" must be a text, a number'),
        ('{"filters": {"a": []}}', 'event_filters.filters: the list of "a" is empty'),
        ('{"filters": {"a..b": 1}}', 'event_filters.filters: "a..b" is not a path'),
        ('{"filters": {"": 1}}', 'event_filters.filters: "" is not a path'),
        ('{"event_types": [], "x": 1}', 'event_filters: there is no filter "x"'),
        ("[" * 6000 + "]" * 6000, "event_filters: must be an object, not a list."),
    ],
)
def test_a_filter_of_another_shape_is_unusable_and_says_why(filters: str, reason: str) -> None:
    compiled = compile_subscription(None, filters)

    assert isinstance(compiled, UnusableFilter)
    assert compiled.reason.startswith(reason)


def test_a_reason_does_not_repeat_a_name_of_any_length() -> None:
    compiled = compiled_from(None, {"x" * 10_000: 1})

    assert isinstance(compiled, UnusableFilter)
    assert len(compiled.reason) < 300


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
    ({"filters": {f"p{n}": n for n in range(101)}}, "event_filters.filters: there may be at most"),
    ({"filters": {".".join(["aB"] * 17): 1}}, 'event_filters.filters: "aB.aB.aB'),
    ({"filters": {"a": list(range(1000)), "b": 1}}, "event_filters.filters: there may be at most"),
    ({"event_types": [f"t{n}" for n in range(101)]}, "event_filters.event_types: there may be"),
    ({"workspaces": list(range(1001))}, "event_filters.workspaces: there may be at most 1000."),
    ({"campaign_ids": list(range(1001))}, "event_filters.campaign_ids: there may be at most"),
]


@pytest.mark.parametrize("filters", LARGEST, ids=range(len(LARGEST)))
def test_a_filter_as_large_as_it_may_be_is_taken(filters: Any) -> None:
    assert isinstance(compiled_from(None, filters), Matcher)


@pytest.mark.parametrize(("filters", "reason"), TOO_LARGE, ids=range(len(TOO_LARGE)))
def test_a_filter_larger_than_anybody_needs_is_unusable(filters: Any, reason: str) -> None:
    compiled = compiled_from(None, filters)

    assert isinstance(compiled, UnusableFilter)
    assert compiled.reason.startswith(reason)
    assert len(compiled.reason) < 300


def test_the_length_of_a_filter_is_judged_before_it_is_read() -> None:
    compiled = compile_subscription(None, "{" * (16 * 1024 + 1))

    assert isinstance(compiled, UnusableFilter)
    assert "characters long" in compiled.reason


@pytest.mark.parametrize(
    ("event_types", "reason"),
    [
        ((["a", "b"], ["c", "d"]), "event_types: a list is not an event type."),
        (("a", ["b"]), "event_types: a list is not an event type."),
        (("a",) * 101, "event_types: there may be at most 100."),
        (("a" * 16_000, "b" * 16_000), "event_types: must be at most 16384 characters together."),
    ],
    ids=range(4),
)
def test_an_array_that_is_no_list_of_types_is_unusable(event_types: Any, reason: str) -> None:
    assert compile_subscription(event_types, None) == UnusableFilter(reason)


def test_a_filter_of_json_null_is_no_filter() -> None:
    compiled = compile_subscription(None, "null")

    assert isinstance(compiled, Matcher)
    assert compiled.wants(OPENED, None)


def test_data_of_any_depth_is_looked_into() -> None:
    deep = '{"a": 1, "deep": ' + '[{"x":' * 3000 + "1" + "}]" * 3000 + "}"

    assert matcher(None, {"filters": {"a": 1}}).wants(OPENED, parsed(deep))
    assert not matcher(None, {"filters": {"a": 2}}).wants(OPENED, parsed(deep))


def test_the_data_of_a_missing_column_is_null() -> None:
    assert parsed(None) is None
    with pytest.raises(ValueError, match="not JSON"):
        parsed("{")


def test_only_what_looks_into_the_data_needs_it() -> None:
    assert not matcher(["email.*"], {"event_types": ["email.sent"]}).needs_data
    assert matcher(None, {"campaign_ids": ["c"]}).needs_data


@given(st.lists(st.text(max_size=12)) | st.none(), values, st.text(max_size=12), values)
def test_nothing_that_the_application_writes_raises(
    event_types: list[str] | None, filters: object, event_type: str, data: object
) -> None:
    compiled = compiled_from(event_types, filters)

    match compiled:
        case Matcher():
            assert compiled.wants(event_type, data) in {True, False}
        case UnusableFilter():
            assert compiled.reason.startswith("event_filters")
            assert compiled.reason.endswith(".")


@given(values)
def test_parsed_reads_what_was_written(value: object) -> None:
    text = json.dumps(value)

    shallow, deep = parsed(text), parsed("[" * 1500 + text + "]" * 1500)
    for _ in range(1500):
        assert isinstance(deep, list)
        (deep,) = deep
    assert shallow == deep == value


@given(st.dictionaries(st.text("abc", min_size=1, max_size=3), scalars, min_size=1))
def test_a_filter_made_of_the_data_matches_the_data(data: dict[str, Any]) -> None:
    assert wants({"filters": data}, data)
    assert wants({"filters": {name: [value] for name, value in data.items()}}, data)
    assert not wants({"filters": data | {"missing": 1}}, data)


@given(st.lists(st.sampled_from([each.name for each in EVENT_TYPES]), min_size=1))
def test_every_sample_goes_to_those_who_name_its_type(event_types: list[str]) -> None:
    subscribed = matcher(event_types)

    wanted = {
        each.name for each in EVENT_TYPES if subscribed.wants(each.name, sample_data(each.name))
    }
    assert wanted == set(event_types)
