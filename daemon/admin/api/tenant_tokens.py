"""
Tenant tokens: short-lived, signed, and valid at every daemon with the same operator token.

A token is `wht_` and base64url of 72 bytes: its id (16), the tenant's id (16), the expiry in Unix
seconds (7), the scope (1), and an HMAC-SHA256 of all these. The signature is checked first, so that
a forged token costs no query; whether the token was revoked is in the database.
"""

import hmac
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID, uuid4

from daemon.core.model.access import Scope
from daemon.core.model.ids import TenantId, TokenId

PREFIX = "wht_"
SIGNED_BYTES = 16 + 16 + 7 + 1
TOKEN_FORMAT = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{96}}")  # 72 bytes have one spelling, unpadded
SCOPES = {b"f": Scope.FULL, b"r": Scope.READ}
LETTERS = {scope: letter for letter, scope in SCOPES.items()}


@dataclass(frozen=True, slots=True)
class TenantToken:
    """The claims of a token; `expires_at` is in UTC, and in whole seconds."""

    id: TokenId
    tenant_id: TenantId
    scope: Scope
    expires_at: datetime


class TenantTokenSigner:
    """
    Signs tokens with the key of the first operator token, and verifies those of every key.

    `operator_tokens` must be those of full scope: knowing one is enough to sign.
    """

    def __init__(self, operator_tokens: Sequence[str]) -> None:
        self._keys = [
            sha256(b"webhookd tenant token 2\0" + token.encode()).digest()
            for token in operator_tokens
        ]

    def new_token(
        self, tenant_id: TenantId, *, lifetime: timedelta, scope: Scope
    ) -> tuple[TenantToken, str]:
        """Make a token that expires after `lifetime`; returns what it says, and its text."""
        seconds = int(time.time() + lifetime.total_seconds())
        expires_at = datetime.fromtimestamp(seconds, UTC)
        token = TenantToken(TokenId(uuid4()), tenant_id, scope, expires_at)
        signed = token.id.bytes + tenant_id.bytes + seconds.to_bytes(7) + LETTERS[scope]
        signature = hmac.digest(self._keys[0], signed, "sha256")
        return token, PREFIX + urlsafe_b64encode(signed + signature).decode()

    def read(self, text: str) -> TenantToken | None:
        """The claims of a token; None if it is forged, malformed or expired."""
        if not TOKEN_FORMAT.fullmatch(text):
            return None
        raw = urlsafe_b64decode(text.removeprefix(PREFIX))
        signed, signature = raw[:SIGNED_BYTES], raw[SIGNED_BYTES:]
        # A sum, because any() would stop early, and its duration would reveal the matching key.
        matches = sum(
            hmac.compare_digest(signature, hmac.digest(key, signed, "sha256")) for key in self._keys
        )
        seconds = int.from_bytes(signed[32:39])
        if not matches or seconds <= time.time():
            return None
        return TenantToken(
            TokenId(UUID(bytes=signed[:16])),
            TenantId(UUID(bytes=signed[16:32])),
            SCOPES[signed[39:]],
            datetime.fromtimestamp(seconds, UTC),
        )
