"""A body has the contract's members in order, and the same bytes at every call."""

import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.core.wire.body import event_body, is_made_quickly
from daemon.core.wire.timestamps import rfc3339
from tests.core.wire.json_texts import Stringify, javascript_keeps, numbers, texts

ID = UUID("0123456789abcdef0123456789abcdef")
NOON = datetime(2025, 11, 25, 12, tzinfo=UTC)


def test_a_body_has_its_members_in_order_and_no_white_space() -> None:
    body = event_body(ID, "email.opened", NOON, '{"email_id": "msg_1", "city": "Zürich"}')

    assert body.decode() == (
        '{"id":"evt_0123456789abcdef0123456789abcdef","type":"email.opened",'
        '"created_at":"2025-11-25T12:00:00Z","data":{"email_id":"msg_1","city":"Zürich"}}'
    )


@pytest.mark.parametrize(
    ("data", "printed"),
    [(None, b"null"), ("null", b"null"), ("1.0", b"1"), ('"a"', b'"a"'), ("[ ]", b"[]")],
)
def test_data_need_not_be_an_object(data: str | None, printed: bytes) -> None:
    body = event_body(ID, "email.opened", NOON, data)

    assert body.endswith(b',"data":%b}' % printed)


@pytest.mark.parametrize(
    ("moment", "printed"),
    [
        (NOON, "2025-11-25T12:00:00Z"),
        (NOON.replace(microsecond=120_000), "2025-11-25T12:00:00.12Z"),
        (NOON.replace(microsecond=1), "2025-11-25T12:00:00.000001Z"),
        (NOON.replace(second=10), "2025-11-25T12:00:10Z"),
        (datetime(2025, 11, 25, 1, tzinfo=timezone(timedelta(hours=2))), "2025-11-24T23:00:00Z"),
        (datetime(7, 1, 1, tzinfo=UTC), "0007-01-01T00:00:00Z"),
    ],
)
def test_created_at_is_utc_with_a_fraction_only_if_it_is_not_zero(
    moment: datetime, printed: str
) -> None:
    body = event_body(ID, "email.opened", moment, None)

    assert json.loads(body)["created_at"] == printed


@given(st.datetimes(timezones=st.timezones()))
def test_created_at_can_be_parsed_back(moment: datetime) -> None:
    try:
        in_utc = moment.astimezone(UTC)
    except OverflowError:  # within a day of the first or last representable instant
        return

    for same in (moment, in_utc):
        printed = json.loads(event_body(ID, "a", same, None))["created_at"]
        assert printed == rfc3339(moment)
        assert datetime.fromisoformat(printed) == in_utc


def test_a_naive_created_at_raises_value_error() -> None:
    with pytest.raises(ValueError, match="time zone"):
        event_body(ID, "email.opened", NOON.replace(tzinfo=None), None)


def test_a_test_event_has_its_own_id() -> None:
    body = event_body(uuid4(), "email.opened", NOON, None, public_id="evt_test_1764081000000")

    assert json.loads(body)["id"] == "evt_test_1764081000000"


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"])), texts(numbers.filter(javascript_keeps)))
def test_javascript_prints_a_parsed_body_as_the_same_bytes(
    stringify: Stringify, event_type: str, data: str
) -> None:
    body = event_body(ID, event_type, NOON, data).decode()

    assert stringify(body) == body


@pytest.mark.parametrize(
    ("data", "quick"),
    [
        (None, True),
        ('{"a": "' + "x" * 60_000 + '"}', True),
        ("[" + ", ".join(["12.5"] * 10_000) + "]", True),
        ("[" * 4000 + "]" * 4000, True),
        ("[" * 4200 + "]" * 4200, False),
        ("[" + ", ".join(["1.0"] * 2000) + "]", False),
        ('{"a": "' + "x" * 70_000 + '"}', False),
    ],
    ids=["null", "text", "numbers", "small", "deep", "other spellings", "large"],
)
def test_only_what_the_quickest_printer_prints_is_made_quickly(
    data: str | None,
    quick: bool,
) -> None:
    assert is_made_quickly(data) is quick
