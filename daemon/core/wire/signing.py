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
    return f"sha256={_own_key(secret).digest(body).hex()}"


@lru_cache(KEYS_KEPT)
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
    signed = f"{message_id}.{timestamp}.".encode() + body
    return f"v1,{b2a_base64(_prepared(key).digest(signed), newline=False).decode()}"


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
    signature = sign(body, secret)
    secrets: tuple[str, ...] = (secret,)
    previous = ""
    if previous_secret is not None:
        secrets += (previous_secret,)
        previous = f"X-PenguinMails-Signature-Previous: {sign(body, previous_secret)}\r\n"
    lines = (
        f"Content-Type: application/json\r\nUser-Agent: {USER_AGENT}\r\n"
        f"X-PenguinMails-Event: {_header_safe(event_type)}\r\n"
        f"X-PenguinMails-Delivery-ID: {delivery_id}\r\n"
        f"X-PenguinMails-Signature: {signature}\r\n{previous}"
        f"{_standard_lines(_header_safe(message_id), timestamp, body, secrets)}"
    )
    return lines, signature


def _standard_lines(message_id: str, timestamp: int, body: bytes, secrets: tuple[str, ...]) -> str:
    keys = [key for key in map(standard_key, secrets) if key is not None]
    if not keys:
        return ""
    signatures = [standard_signature(key, message_id, timestamp, body) for key in keys]
    return (
        f"webhook-id: {message_id}\r\nwebhook-timestamp: {timestamp}\r\n"
        f"webhook-signature: {' '.join(signatures)}\r\n"
    )


@lru_cache(KEYS_KEPT)
def _own_key(secret: str) -> HmacKey:
    return HmacKey(secret.encode())


@lru_cache(KEYS_KEPT)
def _prepared(key: bytes) -> HmacKey:
    return HmacKey(key)


@lru_cache(64)  # the types of the events that are sent
def _header_safe(value: str) -> str:
    if value.isascii() and value.isprintable() and value.strip(" ") == value:
        return value
    return UNFIT.sub(lambda unfit: quote(unfit[0], safe="", errors="surrogatepass"), value)
