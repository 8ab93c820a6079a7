"""What a receiver says of signatures, of every combination that may come."""

from uuid import UUID

import pytest

from daemon.cli.receiver.signature_check import Word, judge_both
from daemon.core.wire import signing

BODY = b'{"id":"evt_1"}'
NOW = 1_764_081_000
OLD, NEW = "whsec_" + "ab" * 32, "whsec_" + "cd" * 32


def headers(
    secret: str = NEW, previous: str | None = None, *, timestamp: int = NOW
) -> dict[str, str]:
    made = signing.request_headers(
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
    ("given", "secrets", "word", "reason"),
    [
        (headers(), [NEW], Word.VALID, None),
        (headers(NEW, OLD), [OLD], Word.VALID, None),
        (headers(), [OLD, NEW], Word.VALID, None),
        (headers("no base64"), ["no base64"], Word.VALID, None),
        (without(headers(), "webhook-"), [NEW], Word.VALID, None),
        (without(headers(), "x-penguin"), [NEW], Word.VALID, None),
        (headers(), [OLD], Word.INVALID, "X-PenguinMails-Signature"),
        (headers(timestamp=NOW - 301), [NEW], Word.INVALID, "over 5 minutes old"),
        (headers(timestamp=NOW + 301), [NEW], Word.INVALID, "in the future"),
        (headers() | {"webhook-timestamp": "now"}, [NEW], Word.INVALID, "not a number"),
        (headers() | {"webhook-signature": "v1,AA=="}, [NEW], Word.INVALID, "webhook-signature"),
        (without(headers(), "webhook-id"), [NEW], Word.INVALID, "webhook-id is missing"),
        ({}, [NEW], Word.NOT_SIGNED, None),
        ({}, [], Word.NOT_SIGNED, None),
        (headers(), [], Word.NOT_CHECKED, None),
    ],
)
def test_a_delivery_is_valid_if_something_vouches_for_it_and_nothing_speaks_against(
    given: dict[str, str], secrets: list[str], word: Word, reason: str | None
) -> None:
    judgement = judge_both(BODY, given, secrets, now=NOW)

    assert judgement.word is word
    assert (reason or "") in (judgement.reason or "")
    assert (reason is None) == (judgement.reason is None)
