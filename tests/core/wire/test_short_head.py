"""What a row keeps of a request's head tells the head as it was sent, to the byte."""

from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.model.attempts import Request
from daemon.core.policy.urls import Target
from daemon.core.wire.event_ids import public_event_id
from daemon.core.wire.short_head import Known, expand, shorten
from daemon.core.wire.signing import header_lines
from daemon.egress.http_messages import request_head
from tests.core.wire.signed_requests import DELIVERY, NOT_BASE64, PREVIOUS, SECRET

EVENT = UUID("00000000-0000-0000-0000-0000000000ee")
TARGET = Target(
    tls=True, host="receiver.example", port=443, host_header="receiver.example", path="/hook"
)
BODY = b'{"id":"evt_1"}'


def head_and_known(
    event_type: str = "email.opened",
    *,
    secret: str = SECRET,
    previous: str | None = None,
    private: tuple[tuple[str, str], ...] = (),
    more: str = "",
) -> tuple[str, Known]:
    """A head as it is sent, with the row that the request has."""
    lines, signature = header_lines(
        body=BODY,
        message_id=public_event_id(EVENT),
        event_type=event_type,
        delivery_id=DELIVERY,
        timestamp=1_764_081_000,
        secret=secret,
        previous_secret=previous,
    )
    head = request_head(TARGET, Request("https://receiver.example", lines + more, BODY, private))
    return head, Known(DELIVERY, EVENT, event_type, signature)


def test_a_plain_head_is_kept_in_a_quarter_of_its_length() -> None:
    head, known = head_and_known()

    short = shorten(head, known)

    assert (len(head), len(short.encode())) == (528, 136)
    assert expand(short, known) == head


@pytest.mark.parametrize(
    ("head", "known"),
    {
        "a rotation": head_and_known(previous=PREVIOUS),
        "a secret without a standard key": head_and_known(secret=NOT_BASE64),
        "custom headers": head_and_known(private=(("X-Key", "caf\xe9 [hidden]"),)),
        "a type that headers cannot carry": head_and_known("email.ünïcode\n"),
        "a traceparent": head_and_known(more="traceparent: 00-1-2-01\r\n"),
        "no type": head_and_known(""),
    }.values(),
)
def test_an_unusual_head_is_kept_whole(head: str, known: Known) -> None:
    assert expand(shorten(head, known), known) == head


def test_what_the_row_does_not_tell_stays_in_the_head() -> None:
    head, known = head_and_known()
    renamed = replace(known, delivery_id=UUID(int=7))

    short = shorten(head, renamed)

    assert str(DELIVERY) in short
    assert expand(short, renamed) == head


@given(st.text(st.characters(max_codepoint=0xFF)))
def test_any_text_of_a_head_is_kept(text: str) -> None:
    _, known = head_and_known()

    assert expand(shorten(text, known), known) == text


def test_a_row_of_the_application_does_not_expand_without_end() -> None:
    _, known = head_and_known()

    assert len(expand("\ue001\ue002\ue003" * 20_000, known)) < 61_000
