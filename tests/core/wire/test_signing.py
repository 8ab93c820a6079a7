import asyncio
import base64
import hashlib
import hmac
import http.client
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from daemon.core.event_types import EVENT_TYPES, sample_data
from daemon.core.wire.body import event_body
from daemon.core.wire.event_ids import public_event_id
from daemon.core.wire.signing import (
    StandardCheck,
    request_headers,
    sign,
    standard_key,
    standard_signature,
    verify,
    verify_standard,
)
from tests.support.javascript import Receiver, javascript_receiver

# As the specification makes them (64 hexadecimal digits), and as Standard Webhooks does.
SECRET = "whsec_" + "0123456789abcdef" * 4
PREVIOUS = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
NOT_BASE64 = "whsec_not base64!"
DELIVERY = UUID("00000000-0000-0000-0000-00000000000d")
CREATED = datetime(2025, 11, 25, 14, 30, 0, 120_000, tzinfo=UTC)

Headers = tuple[tuple[str, str], ...]


def signed(
    body: bytes = b"{}",
    *,
    message_id: str = "evt_1",
    event_type: str = "email.opened",
    timestamp: int = 1_764_081_000,
    secret: str = SECRET,
    previous_secret: str | None = None,
) -> Headers:
    return request_headers(
        body=body,
        message_id=message_id,
        event_type=event_type,
        delivery_id=DELIVERY,
        timestamp=timestamp,
        secret=secret,
        previous_secret=previous_secret,
    )


def test_a_delivery_bears_the_headers_of_the_contract_in_order() -> None:
    headers = signed(b"body")

    mac = hmac.new(SECRET.encode(), b"body", hashlib.sha256).hexdigest()
    key = base64.b64decode("0123456789abcdef" * 4)
    standard = hmac.new(key, b"evt_1.1764081000.body", hashlib.sha256).digest()
    assert headers == (
        ("Content-Type", "application/json"),
        ("User-Agent", "PenguinMails-Webhooks/1.0"),
        ("X-PenguinMails-Event", "email.opened"),
        ("X-PenguinMails-Delivery-ID", "00000000-0000-0000-0000-00000000000d"),
        ("X-PenguinMails-Signature", f"sha256={mac}"),
        ("webhook-id", "evt_1"),
        ("webhook-timestamp", "1764081000"),
        ("webhook-signature", f"v1,{base64.b64encode(standard).decode()}"),
    )


def test_the_published_example_of_standard_webhooks_has_its_published_signature() -> None:
    key = standard_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")

    assert key is not None
    assert (
        standard_signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
        == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    )


def test_during_a_rotation_both_secrets_sign_the_current_one_first() -> None:
    headers = dict(signed(b"body", previous_secret=PREVIOUS))

    assert headers["X-PenguinMails-Signature"] == sign(b"body", SECRET)
    assert headers["X-PenguinMails-Signature-Previous"] == sign(b"body", PREVIOUS)
    assert headers["webhook-signature"].split(" ") == [
        dict(signed(b"body"))["webhook-signature"],
        dict(signed(b"body", secret=PREVIOUS))["webhook-signature"],
    ]


@pytest.mark.parametrize("secret", ["", "secret", "whsec_", NOT_BASE64, "whsec_abc", "WHSEC_QUJD"])
def test_a_secret_that_is_no_base64_leaves_out_the_standard_headers_only(secret: str) -> None:
    headers = dict(signed(b"body", secret=secret))

    assert headers["X-PenguinMails-Signature"] == sign(b"body", secret)
    assert not any(name.startswith("webhook-") for name in headers)


@pytest.mark.parametrize(("current", "previous"), [(NOT_BASE64, SECRET), (SECRET, NOT_BASE64)])
def test_during_a_rotation_the_one_secret_that_is_base64_signs_alone(
    current: str, previous: str
) -> None:
    headers = dict(signed(b"body", secret=current, previous_secret=previous))

    assert headers["webhook-signature"] == dict(signed(b"body"))["webhook-signature"]
    assert headers["X-PenguinMails-Signature"] == sign(b"body", current)
    assert headers["X-PenguinMails-Signature-Previous"] == sign(b"body", previous)


@pytest.mark.parametrize(
    ("encoded", "key"),
    [
        ("QUJD", b"ABC"),
        ("QUI=", b"AB"),
        ("QQ==", b"A"),
        ("+/+/", b"\xfb\xff\xbf"),
        ("-_-_", None),
        ("QQ", None),
        ("QQ=", None),
        ("Q===", None),
        ("====", None),
        ("QQ==QQ==", None),
        ("QU JD", None),
        ("QUJD\n", None),
        ("ÀÀÀÀ", None),
        ("", None),
    ],
)
def test_a_key_is_strict_base64_after_the_prefix(encoded: str, key: bytes | None) -> None:
    assert standard_key(f"whsec_{encoded}") == key
    assert standard_key(encoded) is None


@given(st.binary(min_size=1))
def test_every_base64_is_a_key(key: bytes) -> None:
    assert standard_key(f"whsec_{base64.b64encode(key).decode()}") == key


@pytest.mark.parametrize(
    ("event_type", "sent"),
    [
        ("email.opened", "email.opened"),
        ("a b", "a b"),
        ("100%", "100%"),
        ("a\r\nX-Evil: 1", "a%0D%0AX-Evil: 1"),
        ("a\0\t\x7f", "a%00%09%7F"),
        (" a  ", "%20a%20%20"),
        ("été 🐧", "%C3%A9t%C3%A9 %F0%9F%90%A7"),
        ("\u2028\xa0", "%E2%80%A8%C2%A0"),
    ],
)
def test_what_a_header_cannot_carry_is_percent_encoded(event_type: str, sent: str) -> None:
    assert dict(signed(event_type=event_type))["X-PenguinMails-Event"] == sent


@given(st.text(), st.text(), st.text(st.characters(exclude_categories=["Cs"])))
def test_whatever_the_application_writes_stands_in_a_header(
    event_type: str, message_id: str, secret: str
) -> None:
    headers = signed(event_type=event_type, message_id=message_id, secret=secret)

    for _, value in headers:
        assert value.isascii()
        assert value.isprintable()
        assert value == value.strip()


@given(st.binary(), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_signature_is_verified_by_its_own_secret(body: bytes, secret: str) -> None:
    signature = sign(body, secret)

    assert verify(body, signature, [secret])
    assert verify(body, signature, ["another", secret])
    assert not verify(body + b" ", signature, [secret])
    assert not verify(body, signature, [f"{secret}."])
    assert not verify(body, signature, [])


@pytest.mark.parametrize("bad", ["", "sha256=", "sha1=00", "é", "\ud800", sign(b"{}", SECRET)[7:]])
def test_what_is_no_signature_is_not_verified(bad: str) -> None:
    assert not verify(b"{}", bad, [SECRET])


def checked(
    headers: Headers, body: bytes = b"{}", *, now: float = 1_764_081_000, **changed: Any
) -> StandardCheck:
    """The check of headers as they came, with some of it changed."""
    came = dict(headers)
    return verify_standard(
        body,
        changed.get("signatures", came["webhook-signature"]),
        changed.get("secrets", [SECRET]),
        message_id=changed.get("message_id", came["webhook-id"]),
        timestamp=changed.get("timestamp", came["webhook-timestamp"]),
        now=now,
        tolerance=timedelta(minutes=5),
    )


def test_standard_headers_are_good_with_any_of_the_secrets() -> None:
    headers = signed(previous_secret=PREVIOUS)

    assert checked(headers) is StandardCheck.GOOD
    assert checked(headers, secrets=[PREVIOUS]) is StandardCheck.GOOD
    assert checked(headers, secrets=[NOT_BASE64, SECRET]) is StandardCheck.GOOD
    assert checked(headers, signatures="v1a,AAAA v1, " + headers[-1][1]) is StandardCheck.GOOD


@pytest.mark.parametrize(
    ("changed", "check"),
    [
        ({"body": b"{ }"}, StandardCheck.BAD_SIGNATURE),
        ({"message_id": "evt_2"}, StandardCheck.BAD_SIGNATURE),
        ({"timestamp": "1764081001"}, StandardCheck.BAD_SIGNATURE),
        ({"signatures": ""}, StandardCheck.BAD_SIGNATURE),
        ({"secrets": [PREVIOUS]}, StandardCheck.BAD_SIGNATURE),
        ({"secrets": [NOT_BASE64]}, StandardCheck.NO_KEY),
        ({"secrets": []}, StandardCheck.NO_KEY),
        ({"timestamp": ""}, StandardCheck.BAD_TIMESTAMP),
        ({"timestamp": "-1"}, StandardCheck.BAD_TIMESTAMP),
        ({"timestamp": "\uff11"}, StandardCheck.BAD_TIMESTAMP),
        ({"timestamp": "9" * 5000}, StandardCheck.BAD_TIMESTAMP),
        ({"timestamp": "9" * 15}, StandardCheck.TOO_NEW),
        ({"now": 1_764_081_300}, StandardCheck.GOOD),
        ({"now": 1_764_081_301}, StandardCheck.TOO_OLD),
        ({"now": 1_764_080_700}, StandardCheck.GOOD),
        ({"now": 1_764_080_699}, StandardCheck.TOO_NEW),
    ],
)
def test_standard_headers_are_checked_in_all_they_say(
    changed: dict[str, Any], check: StandardCheck
) -> None:
    assert checked(signed(), **changed) is check


def test_the_independent_verifier_accepts_both_secrets_of_a_rotation() -> None:
    body = event_body(uuid4(), "email.opened", CREATED, '{"city": "Zürich", "n": 1.0}')
    headers = dict(signed(body, timestamp=int(time.time()), previous_secret=PREVIOUS))

    assert Webhook(SECRET).verify(body, headers)["data"] == {"city": "Zürich", "n": 1}
    assert Webhook(PREVIOUS).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_QUJD").verify(body, headers)


# The specification's own receivers, in JavaScript.

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
async def test_a_receiver_accepts_whatever_the_data_is(name: str) -> None:
    samples = [post(each.name, json.dumps(sample_data(each.name))) for each in EVENT_TYPES]
    requests = samples + posts(DATA)

    verified = await verdicts(name, requests)

    assert verified == [True] * len(requests)


@pytest.mark.parametrize(
    ("name", "verified"), [("spec_json", False), ("spec_raw", True), ("standard", True)]
)
async def test_only_javascript_itself_loses_the_digits_of_big_integers(
    name: str, verified: bool
) -> None:
    assert await verdicts(name, posts(BIG_INTEGERS)) == [verified] * len(BIG_INTEGERS)


@receivers
async def test_a_receiver_refuses_another_secret_and_another_body(name: str) -> None:
    body, headers = post("contact.created", '{"a": 1}')
    requests = [
        post("contact.created", '{"a": 1}', secret=PREVIOUS),
        (body.replace(b"1}", b"2}"), headers),
        (body, headers),
    ]

    assert await verdicts(name, requests) == [False, False, True]


async def test_a_receiver_of_standard_webhooks_may_still_have_the_previous_secret() -> None:
    requests = [
        post("contact.created", None, previous_secret=PREVIOUS),
        post("contact.created", None, secret=NOT_BASE64, previous_secret=PREVIOUS),
        post("contact.created", None),
    ]

    assert await verdicts("standard", requests, secret=PREVIOUS) == [True, True, False]
