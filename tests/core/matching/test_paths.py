"""A path finds values in either spelling, through arrays, at any depth."""

import pytest

from daemon.core.wire.json_value import parse_json
from tests.core.matching.subscriptions import OPENED, matcher_of, matches


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
    assert matches({"filters": {path: 1}}, data) is found


def test_a_missing_path_is_not_null() -> None:
    assert matches({"filters": {"a": None}}, {"a": None})
    assert not matches({"filters": {"a": None}}, {})
    assert not matches({"filters": {"a.b": None}}, {"a": None})


def test_a_path_is_followed_in_data_of_any_depth() -> None:
    deep = '{"a": 1, "deep": ' + '[{"x":' * 3000 + "1" + "}]" * 3000 + "}"

    assert matcher_of(None, {"filters": {"a": 1}}).matches(OPENED, parse_json(deep))
    assert not matcher_of(None, {"filters": {"a": 2}}).matches(OPENED, parse_json(deep))


def test_segments_of_any_length_match_in_their_other_spelling() -> None:
    name = "very_" * 100 + "long"
    camel_case = "very" + "Very" * 99 + "Long"

    assert matches({"filters": {name: 1}}, {camel_case: 1})
    assert matches({"filters": {camel_case: 1}}, {name: 1})
    assert not matches({"filters": {name: 1}}, {camel_case + "er": 1})
