"""JSON text is read as the value that was written, at any depth and of any length."""

import json

import pytest
from hypothesis import given

from daemon.core.wire.json_value import parse_json
from tests.core.matching.subscriptions import values


@given(values)
def test_a_value_is_parsed_as_it_was_written_at_any_depth(value: object) -> None:
    text = json.dumps(value)

    shallow, deep = parse_json(text), parse_json("[" * 1500 + text + "]" * 1500)
    for _ in range(1500):
        assert isinstance(deep, list)
        (deep,) = deep
    assert shallow == deep == value


def test_none_is_null_and_text_that_is_not_json_raises_value_error() -> None:
    assert parse_json(None) is None
    with pytest.raises(ValueError, match="not JSON"):
        parse_json("{")
