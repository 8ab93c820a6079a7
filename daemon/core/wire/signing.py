"""
Signatures: PenguinMails' own and those of Standard Webhooks 1.0, made and checked over raw bytes.

While a rotation overlaps, everything is signed with both secrets, so that a receiver may take up
the new one at any moment of the overlap.
"""

import hmac
import re
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum
from urllib.parse import quote
from uuid import UUID

PREFIX = "whsec_"
USER_AGENT = "PenguinMails-Webhooks/1.0"

# What a header's value cannot carry or would lose: controls, non-ASCII, spaces at either end.
UNFIT = re.compile(r"[^\x20-\x7e]|^ +| +$")


def sign(body: bytes, secret: str) -> str:
    """`sha256=<hex>` over the body; the key is the secret just as the user sees it."""
    return f"sha256={hmac.digest(secret.encode(), body, 'sha256').hex()}"


def standard_key(secret: str) -> bytes | None:
    """
    The key that Standard Webhooks reads from a secret: what follows `whsec_`, base64-decoded.

    None when there is no such key: the prefix is missing, nothing follows it, or what follows is
    not strictly base64 (alphabet, padding).
    """
    if not secret.startswith(PREFIX):
        return None
    try:
        return a2b_base64(secret[len(PREFIX) :], strict_mode=True) or None
    except ValueError:
        return None


def standard_signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """`v1,<base64>` over `id.timestamp.body` (Standard Webhooks 1.0, symmetric signatures)."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    return f"v1,{b2a_base64(hmac.digest(key, signed, 'sha256'), newline=False).decode()}"


def request_headers(
    *,
    body: bytes,
    message_id: str,
    event_type: str,
    delivery_id: UUID,
    timestamp: int,
    secret: str,
    previous_secret: str | None = None,
) -> tuple[tuple[str, str], ...]:
    """
    Every header of one attempt but those of HTTP itself, in the order they are sent.

    `timestamp` is this attempt's, in Unix seconds. Characters of the event type that a header
    cannot carry are percent-encoded as UTF-8; the body's `type` has them as they are. The Standard
    Webhooks headers are signed with each secret that has a key, the current one first, and left
    out when none has: then a receiver that still verifies with the previous secret goes on.
    """
    secrets = (secret,) if previous_secret is None else (secret, previous_secret)
    headers: tuple[tuple[str, str], ...] = (
        ("Content-Type", "application/json"),
        ("User-Agent", USER_AGENT),
        ("X-PenguinMails-Event", _fit(event_type)),
        ("X-PenguinMails-Delivery-ID", str(delivery_id)),
        ("X-PenguinMails-Signature", sign(body, secret)),
    )
    if previous_secret is not None:
        headers += (("X-PenguinMails-Signature-Previous", sign(body, previous_secret)),)
    return headers + _standard_headers(_fit(message_id), timestamp, body, secrets)


def verify(body: bytes, signature: str, secrets: Iterable[str]) -> bool:
    """Whether `sha256=<hex>` is one of the secrets' signatures; in a time that tells nothing."""
    return _is_any(signature, [sign(body, secret) for secret in secrets])


class StandardCheck(StrEnum):
    """What a verifier of Standard Webhooks says of a message."""

    GOOD = "good"
    BAD_SIGNATURE = "bad_signature"
    BAD_TIMESTAMP = "bad_timestamp"  # not a number
    TOO_OLD = "too_old"
    TOO_NEW = "too_new"
    NO_KEY = "no_key"  # none of the secrets is base64


def verify_standard(
    body: bytes,
    signatures: str,
    secrets: Iterable[str],
    *,
    message_id: str,
    timestamp: str,
    now: float,
    tolerance: timedelta,
) -> StandardCheck:
    """
    Check the three `webhook-` headers as they came; `now` is in Unix seconds.

    One good signature among the space-separated ones is enough. The time is judged before the
    signature, as the reference implementations do.
    """
    keys = [key for key in map(standard_key, secrets) if key is not None]
    if not keys:
        return StandardCheck.NO_KEY
    if not re.fullmatch("[0-9]{1,15}", timestamp):
        return StandardCheck.BAD_TIMESTAMP
    age = now - int(timestamp)
    if abs(age) > tolerance.total_seconds():
        return StandardCheck.TOO_OLD if age > 0 else StandardCheck.TOO_NEW
    expected = [standard_signature(key, message_id, int(timestamp), body) for key in keys]
    good = sum(_is_any(signature, expected) for signature in signatures.split(" "))
    return StandardCheck.GOOD if good else StandardCheck.BAD_SIGNATURE


def _standard_headers(
    message_id: str, timestamp: int, body: bytes, secrets: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    keys = [key for key in map(standard_key, secrets) if key is not None]
    if not keys:
        return ()
    signatures = [standard_signature(key, message_id, timestamp, body) for key in keys]
    return (
        ("webhook-id", message_id),
        ("webhook-timestamp", str(timestamp)),
        ("webhook-signature", " ".join(signatures)),
    )


def _fit(value: str) -> str:
    if value.isascii() and value.isprintable() and value.strip(" ") == value:
        return value
    return UNFIT.sub(lambda unfit: quote(unfit[0], safe="", errors="surrogatepass"), value)


def _is_any(signature: str, expected: list[str]) -> bool:
    given = signature.encode(errors="replace")
    # Summed, for any() would stop at the first that is equal.
    return sum(hmac.compare_digest(given, each.encode()) for each in expected) > 0
