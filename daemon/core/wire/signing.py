"""
Signatures and headers of a request: PenguinMails' own and those of Standard Webhooks 1.0.

Both are made over the raw body (contract, section 1). While a rotation overlaps, both secrets sign
every request, so that a receiver may switch to the new one at any moment of the overlap.
"""

import re
from binascii import a2b_base64, b2a_base64
from functools import lru_cache
from urllib.parse import quote
from uuid import UUID

from daemon.core.wire.hmac_key import HmacKey

PREFIX = "whsec_"
USER_AGENT = "PenguinMails-Webhooks/1.0"
KEYS_KEPT = 8192  # of the secrets that signed last

# What a header value cannot carry or would lose: controls, non-ASCII, spaces at either end.
UNFIT = re.compile(r"[^\x20-\x7e]|^ +| +$")


def sign(body: bytes, secret: str) -> str:
    """
    Return `sha256=<hex>`, PenguinMails' own signature (contract, section 1).

    The key is the whole secret as the user sees it, `whsec_` included.
    """
    return _own_signature(_keys_of(secret)[0], body)


def standard_key(secret: str) -> bytes | None:
    """
    Return the Standard Webhooks key of a secret: what follows `whsec_`, base64-decoded.

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
    """
    Return `v1,<base64>` over `id.timestamp.body`; `timestamp` is in Unix seconds.

    Standard Webhooks 1.0, symmetric signatures.
    """
    return _standard_signature(HmacKey(key), _standard_signed(message_id, timestamp, body))


def header_lines(
    *,
    body: bytes,
    message_id: str,
    event_type: str,
    delivery_id: UUID,
    timestamp: int,
    secret: str,
    previous_secret: str | None = None,
) -> tuple[str, str]:
    """
    Return the header lines of one attempt, in sending order, and the signature of its body.

    The lines are without those of HTTP itself; each has its line ending. `timestamp` is this
    attempt's, in Unix seconds. Characters of the event type that a header cannot carry are
    percent-encoded as UTF-8; the body's `type` has them unencoded.

    Each secret that has a Standard Webhooks key signs, the current one first; without any key the
    `webhook-` headers are left out. A receiver that still verifies with the previous secret
    therefore keeps working when the current one is not base64.
    """
    own, standard = _keys_of(secret)
    signature = _own_signature(own, body)
    message_id = _header_safe(message_id)
    signed = _standard_signed(message_id, timestamp, body)
    standard_signatures = "" if standard is None else f" {_standard_signature(standard, signed)}"
    lines = (
        f"Content-Type: application/json\r\nUser-Agent: {USER_AGENT}\r\n"
        f"X-PenguinMails-Event: {_header_safe_type(event_type)}\r\n"
        f"X-PenguinMails-Delivery-ID: {delivery_id}\r\n"
        f"X-PenguinMails-Signature: {signature}\r\n"
    )
    if previous_secret is not None:
        own, standard = _keys_of(previous_secret)
        lines += f"X-PenguinMails-Signature-Previous: {_own_signature(own, body)}\r\n"
        if standard is not None:
            standard_signatures += f" {_standard_signature(standard, signed)}"
    if standard_signatures:
        lines += (
            f"webhook-id: {message_id}\r\nwebhook-timestamp: {timestamp}\r\n"
            f"webhook-signature:{standard_signatures}\r\n"
        )
    return lines, signature


@lru_cache(KEYS_KEPT)
def _keys_of(secret: str) -> tuple[HmacKey, HmacKey | None]:
    """The prepared keys of a secret: our own, and that of Standard Webhooks if it has one."""
    standard = standard_key(secret)
    return HmacKey(secret.encode()), None if standard is None else HmacKey(standard)


def _own_signature(key: HmacKey, body: bytes) -> str:
    return f"sha256={key.digest(body).hex()}"


def _standard_signed(message_id: str, timestamp: int, body: bytes) -> bytes:
    return f"{message_id}.{timestamp}.".encode() + body


def _standard_signature(key: HmacKey, signed: bytes) -> str:
    return f"v1,{b2a_base64(key.digest(signed), newline=False).decode()}"


def _header_safe(value: str) -> str:
    if value.isascii() and value.isprintable() and value.strip(" ") == value:
        return value
    return UNFIT.sub(lambda unfit: quote(unfit[0], safe="", errors="surrogatepass"), value)


_header_safe_type = lru_cache(64)(_header_safe)  # the types of the events that are sent
