"""
Who is calling, and for which tenant: the Host's name first, then the token, then the tenant.

An operator's token is configured and names the tenant in `X-Tenant-ID`. A tenant's token is made
for a short time by an operator; every daemon with that operator's token can tell that it is good.
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

from aiohttp import web

from daemon.admin.api.problems import Problem
from daemon.core.model.ids import TenantId

TENANT_TOKEN = "wht_"
PAYLOAD_BYTES = 16 + 8  # the tenant's id, and the end in Unix seconds
# Of a payload and its signature, 56 bytes, there is one spelling alone: the last of its letters
# has two bits to spare, which are zero.
SPELLED = re.compile(rf"{TENANT_TOKEN}[A-Za-z0-9_-]{{74}}[AEIMQUYcgkosw048]=")
HOST = re.compile(r"(\[[0-9a-f.]*:[0-9a-f:.]*\]|[^\[\]:]+)(?::[0-9]+)?")
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="webhookd"'}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks; `tenant_id` is None for an operator that has named none."""

    is_operator: bool
    tenant_id: TenantId | None


@dataclass(frozen=True, slots=True)
class TenantToken:
    """A token for one tenant; `expires_at` is in Unix seconds."""

    text: str
    expires_at: int


class Access:
    """Decides by the configured operators' tokens and the names we may be called by."""

    def __init__(self, tokens: Sequence[str], *, allowed_hosts: Sequence[str]) -> None:
        # Compared by their hashes: of equal length, so that not even the length is told by time.
        self._operators = [sha256(token.encode()).digest() for token in tokens]
        self._signing = [sha256(b"webhookd tenant token\0" + t.encode()).digest() for t in tokens]
        self._hosts = frozenset(host.lower() for host in allowed_hosts)

    def check_host(self, request: web.Request) -> None:
        """
        Raises Problem when we are addressed by a name that is not ours.

        A page that somebody's browser shows could else reach us under its own name (DNS rebinding).
        """
        given = request.headers.get("Host", "").lower()
        if not {given, *_names_in(given)} & self._hosts:
            raise Problem(421, "this Host is not among admin.allowed_hosts")

    def caller(self, request: web.Request) -> Caller:
        """Raises Problem for a token that is missing or not good, or a tenant that is not."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Problem(401, "a bearer token is needed", headers=CHALLENGE)
        named = _tenant_named(request)
        given = sha256(token.encode(errors="surrogateescape")).digest()
        # Summed, for any() would stop at the first that is equal.
        if sum(hmac.compare_digest(given, each) for each in self._operators):
            return Caller(is_operator=True, tenant_id=named)
        tenant_id = self._tenant_of(token)
        if tenant_id is None:
            raise Problem(401, "this token is not good, or not any more", headers=CHALLENGE)
        if named not in (None, tenant_id):
            raise Problem(403, "this token is another tenant's than X-Tenant-ID names")
        return Caller(is_operator=False, tenant_id=tenant_id)

    def tenant_token(self, tenant_id: UUID, *, lifetime: timedelta) -> TenantToken:
        expires_at = int(time.time() + lifetime.total_seconds())
        payload = tenant_id.bytes + expires_at.to_bytes(8)
        signature = hmac.digest(self._signing[0], payload, "sha256")
        return TenantToken(
            TENANT_TOKEN + urlsafe_b64encode(payload + signature).decode(), expires_at
        )

    def _tenant_of(self, token: str) -> TenantId | None:
        if not SPELLED.fullmatch(token):
            return None
        raw = urlsafe_b64decode(token.removeprefix(TENANT_TOKEN))
        payload, signature = raw[:PAYLOAD_BYTES], raw[PAYLOAD_BYTES:]
        good = sum(
            hmac.compare_digest(signature, hmac.digest(key, payload, "sha256"))
            for key in self._signing
        )
        if not good or int.from_bytes(payload[16:]) <= time.time():
            return None
        return TenantId(UUID(bytes=payload[:16]))


def _tenant_named(request: web.Request) -> TenantId | None:
    named = request.headers.get("X-Tenant-ID")
    if not named:
        return None
    try:
        return TenantId(UUID(named))
    except ValueError:
        raise Problem(404, "there is no such tenant: X-Tenant-ID is not a UUID") from None


def _names_in(host: str) -> set[str]:
    """Without the port; an IPv6 address also without its brackets, which nothing else has."""
    read = HOST.fullmatch(host)
    return set() if read is None else {read[1], read[1].strip("[]")}
