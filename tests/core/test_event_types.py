import json

import pytest

from daemon.core.event_types import EVENT_TYPES, EventType, sample_data
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
def test_a_sample_has_every_field_that_its_type_promises(event_type: EventType) -> None:
    sample = sample_data(event_type.name)

    assert event_type.description
    assert event_type.fields
    assert set(event_type.fields) <= sample.keys()


@each_type
def test_a_sample_is_json_that_is_sent_as_it_is(event_type: EventType) -> None:
    sample = sample_data(event_type.name)

    text = json.dumps(sample, separators=(",", ":"))
    assert to_javascript_json(text) == text.encode()
    assert json.loads(text) == sample


def test_a_sample_is_the_callers_own() -> None:
    first = sample_data("email.opened")
    first["contact"]["tags"].append("changed")

    assert sample_data("email.opened") != first
    assert "changed" not in sample_data("email.sent")["contact"]["tags"]


def test_there_is_no_sample_of_another_type() -> None:
    with pytest.raises(KeyError):
        sample_data("email.*")
