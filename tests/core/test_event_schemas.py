"""The schemas of events describe their samples, and accept what may be added later."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import orjson
import pytest
from jsonschema_rs import Draft202012Validator, meta

from daemon.core.event_schemas import (
    APPLICATION_MEMBERS,
    OPERATIONAL_MEMBERS,
    body_schema,
    sample_body,
)
from daemon.core.event_types import EventType
from daemon.core.operational_event_types import ALL_TYPES, OPERATIONAL_TYPES
from daemon.core.wire.body import event_body
from daemon.core.wire.event_ids import public_test_id

every_type = pytest.mark.parametrize("event_type", ALL_TYPES, ids=lambda each: each.name)


def validator(event_type: EventType) -> Draft202012Validator:
    schema = body_schema(event_type, operational=event_type in OPERATIONAL_TYPES)
    meta.validate(schema)
    return Draft202012Validator(schema, validate_formats=True)


def closed(schema: Any) -> Any:
    """The schema, which refuses members that it does not describe."""
    if not isinstance(schema, dict):
        return schema
    copied = {name: closed(each) for name, each in schema.items()}
    return copied | ({"additionalProperties": False} if schema.get("type") == "object" else {})


@every_type
def test_the_sample_of_each_type_has_only_what_its_schema_describes(event_type: EventType) -> None:
    schema = body_schema(event_type, operational=event_type in OPERATIONAL_TYPES)

    errors = Draft202012Validator(closed(schema)).iter_errors(sample_body(event_type))

    assert [*errors] == []


@every_type
def test_the_body_of_an_event_and_of_a_test_event_is_valid(event_type: EventType) -> None:
    data = orjson.dumps(dict(event_type.sample)).decode()
    for public_id in (None, public_test_id(uuid4())):
        body = event_body(uuid4(), event_type.name, datetime.now(UTC), data, public_id=public_id)
        assert [*validator(event_type).iter_errors(orjson.loads(body))] == []


@every_type
def test_more_members_are_accepted_and_missing_ones_are_not(event_type: EventType) -> None:
    more, less = sample_body(event_type), sample_body(event_type)
    more |= {"version": 2, "data": more["data"] | {"added_later": {"a": 1}}}
    del less["data"][event_type.fields[0]]

    assert validator(event_type).is_valid(more)
    assert not validator(event_type).is_valid(less)


def test_every_described_member_belongs_to_some_type() -> None:
    used = {name for each in ALL_TYPES for name in (*each.fields, *each.sample)}

    assert {*APPLICATION_MEMBERS, *OPERATIONAL_MEMBERS} == used
