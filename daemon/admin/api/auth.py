"""
Authentication: the Host header is checked first, then the token, then the tenant.

An operator token is configured, and names the tenant in `X-Tenant-ID`. A tenant token carries its
tenant.
"""

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from aiohttp import web

from daemon.admin.api.problems import Problem
from daemon.admin.api.tenant_tokens import TenantTokenSigner
from daemon.core.model.ids import TenantId

HOST = re.compile(r"(\[[0-9a-f.]*:[0-9a-f:.]*\]|[^\[\]:]+)(?::[0-9]+)?")
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="webhookd"'}


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller; `tenant_id` is None for an operator that named no tenant."""

    is_operator: bool
    tenant_id: TenantId | None


class Access:
    """Grants access by the configured operator tokens and the allowed host names."""

    def __init__(self, tokens: Sequence[str], *, allowed_hosts: Sequence[str]) -> None:
        # Hashes have equal lengths, so that a comparison does not reveal a token's length.
        self._operators = [sha256(token.encode()).digest() for token in tokens]
        self._allowed_hosts = frozenset(host.lower() for host in allowed_hosts)
        self.tenant_tokens = TenantTokenSigner(tokens)

    def check_host(self, request: web.Request) -> None:
        """
        Raises Problem (421) when the Host header names a host that is not allowed.

        Without this check, a web page in a browser could reach the API under the page's own name
        (DNS rebinding).
        """
        host = request.headers.get("Host", "").lower()
        if not {host, *_names_in(host)} & self._allowed_hosts:
            raise Problem(421, "the Host header is not one of admin.allowed_hosts")

    def authenticate(self, request: web.Request) -> Caller:
        """Raises Problem: 401 for a missing or invalid token, 403 or 404 for a wrong tenant."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Problem(
                401, "no bearer token: send Authorization: Bearer <token>", headers=CHALLENGE
            )
        named = _named_tenant(request)
        if self._is_operator(token):
            return Caller(is_operator=True, tenant_id=named)
        tenant_id = self.tenant_tokens.tenant_of(token)
        if tenant_id is None:
            raise Problem(401, "invalid or expired token", headers=CHALLENGE)
        if named not in (None, tenant_id):
            raise Problem(403, "the token belongs to another tenant than X-Tenant-ID names")
        return Caller(is_operator=False, tenant_id=tenant_id)

    def _is_operator(self, token: str) -> bool:
        digest = sha256(token.encode(errors="surrogateescape")).digest()
        # A sum, because any() would stop early, and its duration would reveal the matching token.
        return sum(hmac.compare_digest(digest, each) for each in self._operators) > 0


def _named_tenant(request: web.Request) -> TenantId | None:
    text = request.headers.get("X-Tenant-ID")
    if not text:
        return None
    try:
        return TenantId(UUID(text))
    except ValueError:
        raise Problem(404, "there is no such tenant: X-Tenant-ID must be a UUID") from None


def _names_in(host: str) -> set[str]:
    """The host without its port; an IPv6 address also without its brackets."""
    match = HOST.fullmatch(host)
    return set() if match is None else {match[1], match[1].strip("[]")}
