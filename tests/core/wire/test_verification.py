"""A signature is valid only for its own body, secret, id and time."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.core.wire.signing import sign
from daemon.core.wire.verification import StandardCheck, verify, verify_standard
from tests.core.wire.signed_requests import NOT_BASE64, PREVIOUS, SECRET, signed
from tests.support.signed_headers import Headers


@given(st.binary(), st.text(st.characters(exclude_categories=["Cs"])))
def test_a_signature_is_valid_only_for_its_own_body_and_secret(body: bytes, secret: str) -> None:
    signature = sign(body, secret)

    assert verify(body, signature, [secret])
    assert verify(body, signature, ["another", secret])
    assert not verify(body + b" ", signature, [secret])
    assert not verify(body, signature, [f"{secret}."])
    assert not verify(body, signature, [])


@pytest.mark.parametrize("bad", ["", "sha256=", "sha1=00", "é", "\ud800", sign(b"{}", SECRET)[7:]])
def test_text_that_is_not_a_signature_is_invalid(bad: str) -> None:
    assert not verify(b"{}", bad, [SECRET])


def checked(
    headers: Headers, body: bytes = b"{}", *, now: float = 1_764_081_000, **changed: Any
) -> StandardCheck:
    """Check received headers, with some of the inputs changed."""
    received = dict(headers)
    return verify_standard(
        body,
        changed.get("signatures", received["webhook-signature"]),
        changed.get("secrets", [SECRET]),
        message_id=changed.get("message_id", received["webhook-id"]),
        timestamp=changed.get("timestamp", received["webhook-timestamp"]),
        now=now,
        tolerance=timedelta(minutes=5),
    )


def test_standard_headers_are_valid_with_any_of_the_secrets() -> None:
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
def test_every_part_of_the_standard_headers_is_checked(
    changed: dict[str, Any], check: StandardCheck
) -> None:
    assert checked(signed(), **changed) is check
