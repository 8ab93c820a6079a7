"""What a receiver says of a delivery's signatures; there are two kinds, and both are judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from daemon.core.wire import verification
from daemon.core.wire.verification import StandardCheck

# What Standard Webhooks 1.0 recommends.
TOLERANCE = timedelta(minutes=5)

OWN = ("x-penguinmails-signature", "x-penguinmails-signature-previous")
STANDARD = ("webhook-id", "webhook-timestamp", "webhook-signature")


class Word(StrEnum):
    """The verdict, as it is printed."""

    VALID = "valid"
    INVALID = "INVALID"
    NOT_SIGNED = "not signed"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Judgement:
    """One kind of signature, or both together; `reason` says what is wrong, or is missing."""

    word: Word
    reason: str | None = None


def judge_both(
    body: bytes, headers: Mapping[str, str], secrets: Sequence[str], *, now: float
) -> Judgement:
    """
    The verdict on a whole delivery: valid if something vouches for it and nothing speaks against.

    The names of `headers` are lower-case; `now` is in Unix seconds.
    """
    judgements = (
        judge_own(body, headers, secrets),
        judge_standard(body, headers, secrets, now=now),
    )
    for word in (Word.INVALID, Word.VALID, Word.NOT_CHECKED):
        for judgement in judgements:
            if judgement.word is word:
                return judgement
    return Judgement(Word.NOT_SIGNED)


def judge_own(body: bytes, headers: Mapping[str, str], secrets: Sequence[str]) -> Judgement:
    """`X-PenguinMails-Signature`, or during a rotation `-Previous`: one good one is enough."""
    given = [headers[name] for name in OWN if name in headers]
    if not given:
        return Judgement(Word.NOT_SIGNED)
    if not secrets:
        return Judgement(Word.NOT_CHECKED)
    good = sum(verification.verify(body, signature, secrets) for signature in given)
    if good:
        return Judgement(Word.VALID)
    return Judgement(Word.INVALID, "X-PenguinMails-Signature is not that of this body")


def judge_standard(
    body: bytes, headers: Mapping[str, str], secrets: Sequence[str], *, now: float
) -> Judgement:
    """The three `webhook-` headers of Standard Webhooks 1.0."""
    missing = [name for name in STANDARD if name not in headers]
    if len(missing) == len(STANDARD):
        return Judgement(Word.NOT_SIGNED)
    if not secrets:
        return Judgement(Word.NOT_CHECKED)
    if missing:
        return Judgement(Word.INVALID, f"{missing[0]} is missing")
    check = verification.verify_standard(
        body,
        headers["webhook-signature"],
        secrets,
        message_id=headers["webhook-id"],
        timestamp=headers["webhook-timestamp"],
        now=now,
        tolerance=TOLERANCE,
    )
    return STANDARD_JUDGEMENTS[check]


STANDARD_JUDGEMENTS = {
    StandardCheck.GOOD: Judgement(Word.VALID),
    StandardCheck.NO_KEY: Judgement(Word.NOT_CHECKED, "the secret is not base64 after whsec_"),
    StandardCheck.BAD_SIGNATURE: Judgement(
        Word.INVALID, "webhook-signature is not that of this message"
    ),
    StandardCheck.BAD_TIMESTAMP: Judgement(Word.INVALID, "webhook-timestamp is not a number"),
    StandardCheck.TOO_OLD: Judgement(Word.INVALID, "webhook-timestamp is over 5 minutes old"),
    StandardCheck.TOO_NEW: Judgement(
        Word.INVALID, "webhook-timestamp is over 5 minutes in the future"
    ),
}
