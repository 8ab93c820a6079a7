"""
Verification of a delivery's signatures on the receiving side.

A delivery carries PenguinMails' own signature and that of Standard Webhooks 1.0; both are checked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from daemon.core.wire import verification
from daemon.core.wire.verification import StandardCheck

# Recommended by Standard Webhooks 1.0.
TOLERANCE = timedelta(minutes=5)

PENGUINMAILS_HEADERS = ("x-penguinmails-signature", "x-penguinmails-signature-previous")
STANDARD_HEADERS = ("webhook-id", "webhook-timestamp", "webhook-signature")


class SignatureStatus(StrEnum):
    """The verdict, as printed."""

    VALID = "valid"
    INVALID = "INVALID"
    NOT_SIGNED = "not signed"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """The result for one scheme or for the whole delivery; `reason` says what is wrong."""

    status: SignatureStatus
    reason: str | None = None


NOT_SIGNED = SignatureCheck(SignatureStatus.NOT_SIGNED)
NOT_CHECKED = SignatureCheck(SignatureStatus.NOT_CHECKED)
VALID = SignatureCheck(SignatureStatus.VALID)


def _invalid(reason: str) -> SignatureCheck:
    return SignatureCheck(SignatureStatus.INVALID, reason)


def check_signatures(
    body: bytes, headers: Mapping[str, str], secrets: Sequence[str], *, now: float
) -> SignatureCheck:
    """
    Check a whole delivery: one invalid signature makes it invalid, else one valid one suffices.

    The names of `headers` are lower-case; `now` is in Unix seconds.
    """
    checks = (
        check_penguinmails(body, headers, secrets),
        check_standard_webhooks(body, headers, secrets, now=now),
    )
    for status in (SignatureStatus.INVALID, SignatureStatus.VALID, SignatureStatus.NOT_CHECKED):
        for check in checks:
            if check.status is status:
                return check
    return NOT_SIGNED


def check_penguinmails(
    body: bytes, headers: Mapping[str, str], secrets: Sequence[str]
) -> SignatureCheck:
    """
    Check `X-PenguinMails-Signature` and, during a rotation, `-Previous`.

    One valid signature is enough: a receiver may still verify with the previous secret.
    """
    signatures = [headers[name] for name in PENGUINMAILS_HEADERS if name in headers]
    if not signatures:
        return NOT_SIGNED
    if not secrets:
        return NOT_CHECKED
    # sum() checks them all; any() would stop at the first, and take a time that depends on which.
    if sum(verification.verify(body, signature, secrets) for signature in signatures):
        return VALID
    return _invalid("X-PenguinMails-Signature is not that of this body")


def check_standard_webhooks(
    body: bytes, headers: Mapping[str, str], secrets: Sequence[str], *, now: float
) -> SignatureCheck:
    """Check the three `webhook-` headers of Standard Webhooks 1.0; `now` is in Unix seconds."""
    missing = [name for name in STANDARD_HEADERS if name not in headers]
    if len(missing) == len(STANDARD_HEADERS):
        return NOT_SIGNED
    if not secrets:
        return NOT_CHECKED
    if missing:
        return _invalid(f"{missing[0]} is missing")
    check = verification.verify_standard(
        body,
        headers["webhook-signature"],
        secrets,
        message_id=headers["webhook-id"],
        timestamp=headers["webhook-timestamp"],
        now=now,
        tolerance=TOLERANCE,
    )
    return STANDARD_CHECKS[check]


STANDARD_CHECKS = {
    StandardCheck.GOOD: VALID,
    StandardCheck.NO_KEY: SignatureCheck(
        SignatureStatus.NOT_CHECKED, "the secret is not base64 after whsec_"
    ),
    StandardCheck.BAD_SIGNATURE: _invalid("webhook-signature is not that of this message"),
    StandardCheck.BAD_TIMESTAMP: _invalid("webhook-timestamp is not a number"),
    StandardCheck.TOO_OLD: _invalid("webhook-timestamp is over 5 minutes old"),
    StandardCheck.TOO_NEW: _invalid("webhook-timestamp is over 5 minutes in the future"),
}
