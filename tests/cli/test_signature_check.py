"""The receiver's signature check, over every combination of headers and secrets."""

from uuid import UUID

import pytest

from daemon.cli.receiver.signature_check import SignatureStatus, check_signatures
from tests.support.signed_headers import request_headers

BODY = b'{"id":"evt_1"}'
NOW = 1_764_081_000
OLD, NEW = "whsec_" + "ab" * 32, "whsec_" + "cd" * 32


def headers(
    secret: str = NEW, previous: str | None = None, *, timestamp: int = NOW
) -> dict[str, str]:
    made = request_headers(
        body=BODY,
        message_id="evt_1",
        event_type="email.opened",
        delivery_id=UUID(int=1),
        timestamp=timestamp,
        secret=secret,
        previous_secret=previous,
    )
    return {name.lower(): value for name, value in made}


def without(given: dict[str, str], start: str) -> dict[str, str]:
    return {name: value for name, value in given.items() if not name.startswith(start)}


@pytest.mark.parametrize(
    ("given", "secrets", "status", "reason"),
    [
        (headers(), [NEW], SignatureStatus.VALID, None),
        (headers(NEW, OLD), [OLD], SignatureStatus.VALID, None),
        (headers(), [OLD, NEW], SignatureStatus.VALID, None),
        (headers("no base64"), ["no base64"], SignatureStatus.VALID, None),
        (without(headers(), "webhook-"), [NEW], SignatureStatus.VALID, None),
        (without(headers(), "x-penguin"), [NEW], SignatureStatus.VALID, None),
        (headers(), [OLD], SignatureStatus.INVALID, "X-PenguinMails-Signature"),
        (headers(timestamp=NOW - 301), [NEW], SignatureStatus.INVALID, "over 5 minutes old"),
        (headers(timestamp=NOW + 301), [NEW], SignatureStatus.INVALID, "in the future"),
        (headers() | {"webhook-timestamp": "now"}, [NEW], SignatureStatus.INVALID, "not a number"),
        (
            headers() | {"webhook-signature": "v1,AA=="},
            [NEW],
            SignatureStatus.INVALID,
            "webhook-signature",
        ),
        (without(headers(), "webhook-id"), [NEW], SignatureStatus.INVALID, "webhook-id is missing"),
        ({}, [NEW], SignatureStatus.NOT_SIGNED, None),
        ({}, [], SignatureStatus.NOT_SIGNED, None),
        (headers(), [], SignatureStatus.NOT_CHECKED, None),
    ],
)
def test_a_delivery_is_valid_with_one_valid_signature_and_no_invalid_one(
    given: dict[str, str], secrets: list[str], status: SignatureStatus, reason: str | None
) -> None:
    check = check_signatures(BODY, given, secrets, now=NOW)

    assert check.status is status
    assert (reason or "") in (check.reason or "")
    assert (reason is None) == (check.reason is None)
