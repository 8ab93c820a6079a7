"""The specification's own receivers, in JavaScript, accept every request."""

import asyncio
import http.client
import json
import time
from collections.abc import Sequence
from uuid import uuid4

import pytest

from daemon.core.event_types import EVENT_TYPES, sample_data
from daemon.core.wire.body import event_body
from daemon.core.wire.event_ids import public_event_id
from tests.core.wire.signed_requests import CREATED, NOT_BASE64, PREVIOUS, SECRET, signed
from tests.support.javascript import Receiver, javascript_receiver
from tests.support.signed_headers import Headers

DATA = (
    None,
    '{"amount": 1.0, "rate": 1.50, "tiny": 0.0000001, "zero": -0.0}',
    '{"exponents": [1000000000000000000000, 100000000000000000000000, 1e-7, 1E+5, 5e-324]}',
    '{"edge": [9007199254740991, -9007199254740992, 123456789012345680000, 0.1, 1e16]}',
    '{"city": "Zürich", "penguin": "🐧", "kanji": "企鵝", "del": "\x7f", "lines": "\u2028\u2029"}',
    r'{"escapes": "\" \\ \/ \b\f\n\r\t \u001f \u00e9 \ud83d\udc27", "lone": "\ud800"}',
    '{"10": 1, "2": 2, "b": 3, "01": 4, "4294967294": 5, "4294967295": 6, "-1": 7}',
    '{"__proto__": {"admin": true}, "constructor": 1, "toJSON": 2, "": 3}',
    '[[], {}, [[[{"a": [{}]}]]], "", null, true, false]',
    "[" * 600 + "]" * 600,
    '"text"',
    "1.0",
)
BIG_INTEGERS = (
    '{"id": 12345678901234567890}',
    '{"id": 9007199254740993}',
    '{"id": -' + "9" * 400 + "}",
)


def posts(data: Sequence[str | None], **secrets: str) -> list[tuple[bytes, Headers]]:
    return [post("contact.created", each, **secrets) for each in data]


def post(event_type: str, data: str | None, **secrets: str) -> tuple[bytes, Headers]:
    event_id = uuid4()
    body = event_body(event_id, event_type, CREATED, data)
    headers = signed(
        body,
        message_id=public_event_id(event_id),
        event_type=event_type,
        timestamp=int(time.time()),
        **secrets,
    )
    return body, headers


def posted(receiver: Receiver, requests: Sequence[tuple[bytes, Headers]]) -> list[int]:
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=20)
    statuses = []
    for body, headers in requests:
        connection.request("POST", "/webhooks/penguinmails", body, dict(headers))
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()
    return statuses


async def verdicts(
    name: str, requests: Sequence[tuple[bytes, Headers]], *, secret: str = SECRET
) -> list[bool]:
    async with javascript_receiver(name, secret=secret) as receiver:
        statuses = await asyncio.to_thread(posted, receiver, requests)
        lines = [await receiver.next_line() for _ in requests]
    assert [line["status"] for line in lines] == statuses
    return [line["verified"] for line in lines]


receivers = pytest.mark.parametrize("name", ["spec_json", "spec_raw", "standard"])


@receivers
async def test_a_receiver_accepts_any_data(name: str) -> None:
    samples = [post(each.name, json.dumps(sample_data(each.name))) for each in EVENT_TYPES]
    requests = samples + posts(DATA)

    verified = await verdicts(name, requests)

    assert verified == [True] * len(requests)


@pytest.mark.parametrize(
    ("name", "verified"), [("spec_json", False), ("spec_raw", True), ("standard", True)]
)
async def test_big_integers_fail_only_where_the_receiver_prints_them_again(
    name: str, verified: bool
) -> None:
    assert await verdicts(name, posts(BIG_INTEGERS)) == [verified] * len(BIG_INTEGERS)


@receivers
async def test_a_receiver_rejects_another_secret_and_another_body(name: str) -> None:
    body, headers = post("contact.created", '{"a": 1}')
    requests = [
        post("contact.created", '{"a": 1}', secret=PREVIOUS),
        (body.replace(b"1}", b"2}"), headers),
        (body, headers),
    ]

    assert await verdicts(name, requests) == [False, False, True]


async def test_a_standard_webhooks_receiver_may_still_have_the_previous_secret() -> None:
    requests = [
        post("contact.created", None, previous_secret=PREVIOUS),
        post("contact.created", None, secret=NOT_BASE64, previous_secret=PREVIOUS),
        post("contact.created", None),
    ]

    assert await verdicts("standard", requests, secret=PREVIOUS) == [True, True, False]
