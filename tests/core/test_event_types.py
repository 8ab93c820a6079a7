"""The 13 types are those of the specification, each with a sample that is sent unchanged."""

import json

import pytest

from daemon.core.event_types import (
    EVENT_TYPES,
    EventType,
    closest_event_type,
    matches_any_type,
    sample_data,
)
from daemon.core.wire.javascript_json import to_javascript_json

each_type = pytest.mark.parametrize("event_type", EVENT_TYPES, ids=lambda each: each.name)


def test_the_types_are_the_13_of_the_specification() -> None:
    names = [event_type.name for event_type in EVENT_TYPES]

    assert names == [
        "email.sent",
        "email.delivered",
        "email.opened",
        "email.clicked",
        "email.bounced",
        "email.spam_reported",
        "email.unsubscribed",
        "campaign.launched",
        "campaign.completed",
        "campaign.paused",
        "contact.created",
        "contact.updated",
        "contact.unsubscribed",
    ]


@each_type
def test_a_sample_has_every_field_of_its_type(event_type: EventType) -> None:
    sample = sample_data(event_type.name)

    assert event_type.description
    assert event_type.fields
    assert set(event_type.fields) <= sample.keys()


@each_type
def test_a_sample_is_json_that_is_sent_unchanged(event_type: EventType) -> None:
    sample = sample_data(event_type.name)

    text = json.dumps(sample, separators=(",", ":"))
    assert to_javascript_json(text) == text.encode()
    assert json.loads(text) == sample


def test_changing_a_sample_leaves_later_samples_unchanged() -> None:
    first = sample_data("email.opened")
    first["contact"]["tags"].append("changed")

    assert sample_data("email.opened") != first
    assert "changed" not in sample_data("email.sent")["contact"]["tags"]


def test_sample_data_of_any_other_name_raises_key_error() -> None:
    with pytest.raises(KeyError):
        sample_data("email.*")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [("email.opened", True), ("email.*", True), ("*", True), ("", False), (".*", False),
     ("email", False), ("email.", False), ("*.opened", False), ("other.*", False)],
)  # fmt: skip
def test_a_pattern_matches_a_type_by_name_or_final_wildcard(pattern: str, expected: bool) -> None:
    assert matches_any_type(pattern) is expected


def test_the_closest_type_is_the_one_that_a_misspelt_name_means() -> None:
    assert closest_event_type("email.open") == "email.opened"
    assert closest_event_type("xyz") is None


def test_no_type_is_closest_to_what_is_much_longer_than_any() -> None:
    assert closest_event_type("contact.unsubscribed" + "_" * 20) == "contact.unsubscribed"
    assert closest_event_type("contact.unsubscribed" + "_" * 21) is None
