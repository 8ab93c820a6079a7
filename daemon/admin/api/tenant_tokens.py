"""
Tenant tokens: short-lived, signed, and valid at every daemon with the same operator token.

A token is `wht_` and base64url of the tenant's id (16 bytes), the expiry in Unix seconds (8 bytes)
and an HMAC-SHA256 of both. Nothing is stored.
"""

import hmac
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from uuid import UUID

from daemon.core.model.ids import TenantId

PREFIX = "wht_"
PAYLOAD_BYTES = 16 + 8
# The 56 bytes have only one spelling: the last letter has two spare bits, which must be zero.
TOKEN_FORMAT = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{74}}[AEIMQUYcgkosw048]=")


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A token for one tenant; `expires_at` is in Unix seconds."""

    text: str
    expires_at: int


class TenantTokenSigner:
    """Issues tokens with the first operator token's key, and verifies those of every key."""

    def __init__(self, operator_tokens: Sequence[str]) -> None:
        self._keys = [
            sha256(b"webhookd tenant token\0" + token.encode()).digest()
            for token in operator_tokens
        ]

    def issue(self, tenant_id: UUID, *, lifetime: timedelta) -> IssuedToken:
        """Make a token that expires after `lifetime`."""
        expires_at = int(time.time() + lifetime.total_seconds())
        payload = tenant_id.bytes + expires_at.to_bytes(8)
        signature = hmac.digest(self._keys[0], payload, "sha256")
        return IssuedToken(PREFIX + urlsafe_b64encode(payload + signature).decode(), expires_at)

    def tenant_of(self, token: str) -> TenantId | None:
        """The tenant of a valid token; None for a token that is forged, malformed or expired."""
        if not TOKEN_FORMAT.fullmatch(token):
            return None
        raw = urlsafe_b64decode(token.removeprefix(PREFIX))
        payload, signature = raw[:PAYLOAD_BYTES], raw[PAYLOAD_BYTES:]
        # A sum, because any() would stop early, and its duration would reveal the matching key.
        matches = sum(
            hmac.compare_digest(signature, hmac.digest(key, payload, "sha256"))
            for key in self._keys
        )
        if not matches or int.from_bytes(payload[16:]) <= time.time():
            return None
        return TenantId(UUID(bytes=payload[:16]))
