"""
The text of a session's cookie: signed, so that a forged one costs no query.

It is `whs_` and base64url of 73 bytes: whose session it is (1: an operator's or a portal link's),
its id (16), the tenant's id (16, zeros for operators), the expiry in Unix seconds (7), the scope
(1), and an HMAC-SHA256 of all these with a key of the operator who signed in or made the link. When
the operator's token is changed or removed, these sessions end. Whether one was ended before is in
the database.
"""

import hmac
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from hashlib import sha256
from uuid import UUID

from daemon.config import OperatorToken
from daemon.core.model.access import Scope
from daemon.core.model.ids import TenantId, TokenId

PREFIX = "whs_"
SIGNED_BYTES = 1 + 16 + 16 + 7 + 1
FORMAT = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{98}}")  # 73 bytes, unpadded
SCOPES = {b"f": Scope.FULL, b"r": Scope.READ}
LETTERS = {scope: letter for letter, scope in SCOPES.items()}
NO_TENANT = TenantId(UUID(int=0))


class SessionKind(Enum):
    """The owner of the session."""

    OPERATOR = b"o"
    PORTAL = b"p"


@dataclass(frozen=True, slots=True)
class SignedSession:
    """
    The claims of a cookie; `operator` signed in, or made the portal link.

    `expires_at` is in UTC, and in whole seconds. `tenant_id` is None for operators.
    """

    kind: SessionKind
    id: TokenId
    operator: str
    tenant_id: TenantId | None
    scope: Scope
    expires_at: datetime

    @property
    def load_key(self) -> str:
        """Whom the load of this session counts against: the tenant, or the operator."""
        return self.operator if self.tenant_id is None else str(self.tenant_id)


class SessionSigner:
    """Signs and reads the sessions of the configured operators."""

    def __init__(self, operators: Sequence[OperatorToken]) -> None:
        self._keys = {
            each.name: sha256(
                b"webhookd console session 1\0" + each.token.get_secret_value().encode()
            ).digest()
            for each in operators
        }

    def sign(self, session: SignedSession) -> str | None:
        """The cookie's text; None if its operator is not configured any more."""
        key = self._keys.get(session.operator)
        if key is None:
            return None
        signed = (
            session.kind.value
            + session.id.bytes
            + (session.tenant_id or NO_TENANT).bytes
            + int(session.expires_at.timestamp()).to_bytes(7)
            + LETTERS[session.scope]
        )
        return PREFIX + _encoded(signed + hmac.digest(key, signed, "sha256"))

    def read(self, text: str) -> SignedSession | None:
        """The claims of a cookie; None if it is forged, malformed or expired."""
        if not FORMAT.fullmatch(text):
            return None
        raw = urlsafe_b64decode(text.removeprefix(PREFIX) + "==")
        signed, signature = raw[:SIGNED_BYTES], raw[SIGNED_BYTES:]
        # Every key is tried: stopping early would reveal the matching one by the duration.
        matching = [
            name
            for name, key in self._keys.items()
            if hmac.compare_digest(signature, hmac.digest(key, signed, "sha256"))
        ]
        seconds = int.from_bytes(signed[33:40])
        if not matching or seconds <= time.time():
            return None
        kind = SessionKind(signed[:1])
        return SignedSession(
            kind,
            TokenId(UUID(bytes=signed[1:17])),
            matching[0],
            TenantId(UUID(bytes=signed[17:33])) if kind is SessionKind.PORTAL else None,
            SCOPES[signed[40:]],
            datetime.fromtimestamp(seconds, UTC),
        )


def _encoded(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode().rstrip("=")
