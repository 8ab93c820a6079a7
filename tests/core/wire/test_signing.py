"""Every request has the contract's headers, for any text that the application stores."""

import base64
import hashlib
import hmac
import time
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from daemon.core.wire.body import event_body
from daemon.core.wire.signing import sign, standard_key, standard_signature
from tests.core.wire.signed_requests import CREATED, NOT_BASE64, PREVIOUS, SECRET, signed


def test_a_request_has_the_headers_of_the_contract_in_order() -> None:
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


def test_during_a_rotation_both_secrets_sign_and_the_current_one_is_first() -> None:
    headers = dict(signed(b"body", previous_secret=PREVIOUS))

    assert headers["X-PenguinMails-Signature"] == sign(b"body", SECRET)
    assert headers["X-PenguinMails-Signature-Previous"] == sign(b"body", PREVIOUS)
    assert headers["webhook-signature"].split(" ") == [
        dict(signed(b"body"))["webhook-signature"],
        dict(signed(b"body", secret=PREVIOUS))["webhook-signature"],
    ]


@pytest.mark.parametrize("secret", ["", "secret", "whsec_", NOT_BASE64, "whsec_abc", "WHSEC_QUJD"])
def test_a_secret_that_is_not_base64_omits_only_the_standard_headers(secret: str) -> None:
    headers = dict(signed(b"body", secret=secret))

    assert headers["X-PenguinMails-Signature"] == sign(b"body", secret)
    assert not any(name.startswith("webhook-") for name in headers)


@pytest.mark.parametrize(("current", "previous"), [(NOT_BASE64, SECRET), (SECRET, NOT_BASE64)])
def test_during_a_rotation_only_a_base64_secret_makes_a_standard_signature(
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
def test_a_standard_key_is_strict_base64_after_the_prefix(encoded: str, key: bytes | None) -> None:
    assert standard_key(f"whsec_{encoded}") == key
    assert standard_key(encoded) is None


@given(st.binary(min_size=1))
def test_any_base64_after_the_prefix_is_a_standard_key(key: bytes) -> None:
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
def test_characters_that_a_header_cannot_carry_are_percent_encoded(
    event_type: str, sent: str
) -> None:
    assert dict(signed(event_type=event_type))["X-PenguinMails-Event"] == sent


@given(st.text(), st.text(), st.text(st.characters(exclude_categories=["Cs"])))
def test_header_values_are_printable_ascii_for_any_text_of_the_application(
    event_type: str, message_id: str, secret: str
) -> None:
    headers = signed(event_type=event_type, message_id=message_id, secret=secret)

    for _, value in headers:
        assert value.isascii()
        assert value.isprintable()
        assert value == value.strip()


def test_the_standard_webhooks_library_accepts_both_secrets_of_a_rotation() -> None:
    body = event_body(uuid4(), "email.opened", CREATED, '{"city": "Zürich", "n": 1.0}')
    headers = dict(signed(body, timestamp=int(time.time()), previous_secret=PREVIOUS))

    assert Webhook(SECRET).verify(body, headers)["data"] == {"city": "Zürich", "n": 1}
    assert Webhook(PREVIOUS).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_QUJD").verify(body, headers)
