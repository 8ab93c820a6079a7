"""
Signatures checked over the raw body, as receivers check them, in constant time.

The counterpart of `signing`, for `webhookd verify` and `webhookd listen`.
"""

import hmac
import re
from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum

from daemon.core.wire.signing import sign, standard_key, standard_signature


class StandardCheck(StrEnum):
    """The result of checking a message by Standard Webhooks 1.0."""

    GOOD = "good"
    BAD_SIGNATURE = "bad_signature"
    BAD_TIMESTAMP = "bad_timestamp"  # not a number
    TOO_OLD = "too_old"
    TOO_NEW = "too_new"
    NO_KEY = "no_key"  # none of the secrets is base64


def verify(body: bytes, signature: str, secrets: Iterable[str]) -> bool:
    """Whether `sha256=<hex>` is the signature of `body` by one of the secrets."""
    return _is_any(signature, [sign(body, secret) for secret in secrets])


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
    Check the three `webhook-` headers as received; `now` is in Unix seconds.

    One good signature among the space-separated ones is enough. The timestamp is checked before
    the signature, as the reference implementations of Standard Webhooks do.
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


def _is_any(signature: str, expected: list[str]) -> bool:
    given = signature.encode(errors="replace")
    # any() would stop at the first match, and its duration would tell which secret matched.
    return sum(hmac.compare_digest(given, each.encode()) for each in expected) > 0
