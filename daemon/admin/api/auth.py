"""
Authentication: the Host header is checked first, then the token, then the tenant.

An operator token is configured, and names the tenant in `X-Tenant-ID`. A tenant token carries its
tenant.
"""

import hmac
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from aiohttp import web

from daemon.admin.api.problems import Problem
from daemon.admin.api.tenant_tokens import TenantTokenSigner
from daemon.config import OperatorToken
from daemon.core.model.access import Scope
from daemon.core.model.audit import Actor, ActorKind
from daemon.core.model.ids import TenantId, TokenId

HOST = re.compile(r"(\[[0-9a-f.]*:[0-9a-f:.]*\]|[^\[\]:]+)(?::[0-9]+)?")
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="webhookd"'}


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller; `tenant_id` is None for an operator that named no tenant."""

    actor: Actor
    scope: Scope
    tenant_id: TenantId | None

    @property
    def is_operator(self) -> bool:
        """Whether the caller has an operator token."""
        return self.actor.kind is ActorKind.OPERATOR


# An authenticated caller is kept in its request: a refusal is recorded with it.
CALLER = web.RequestKey("caller", Caller)


class Access:
    """
    Grants access by the configured operator tokens and the allowed host names.

    `is_valid` says whether a tenant token has neither expired nor been revoked. `is_of_operator`
    says whether an object of a tenant, given by its kind and id, belongs to a webhook that only
    operators see.
    """

    def __init__(
        self,
        tokens: Sequence[OperatorToken],
        *,
        allowed_hosts: Sequence[str],
        is_valid: Callable[[TokenId], Awaitable[bool]],
        is_of_operator: Callable[[TenantId, str, UUID], Awaitable[bool]],
    ) -> None:
        # Hashes have equal lengths, so that a comparison does not reveal a token's length.
        self._operators = [
            (sha256(each.token.get_secret_value().encode()).digest(), each) for each in tokens
        ]
        self._allowed_hosts = frozenset(host.lower() for host in allowed_hosts)
        self._is_valid = is_valid
        self._is_of_operator = is_of_operator
        self.tenant_tokens = TenantTokenSigner(
            [each.token.get_secret_value() for each in tokens if each.scope is Scope.FULL]
        )

    def check_host(self, request: web.Request) -> None:
        """
        Raises Problem (421) when the Host header names a host that is not allowed.

        Without this check, a web page in a browser could reach the API under the page's own name
        (DNS rebinding).
        """
        host = request.headers.get("Host", "").lower()
        if not {host, *_names_in(host)} & self._allowed_hosts:
            raise Problem(421, "the Host header is not one of admin.allowed_hosts")

    async def authenticate(self, request: web.Request) -> Caller:
        """
        Find out who sent a request; the caller is also kept in the request.

        Raises Problem: 401 for a missing or invalid token, 403 or 404 for a wrong tenant.
        """
        token = _bearer_token(request)
        if token is None:
            raise Problem(
                401, "no bearer token: send Authorization: Bearer <token>", headers=CHALLENGE
            )
        named = _named_tenant(request)
        operator = self.operator_with(token)
        if operator is not None:
            actor = Actor(ActorKind.OPERATOR, operator.name)
            caller = request[CALLER] = Caller(actor, operator.scope, named)
            return caller
        tenant_token = self.tenant_tokens.read(token)
        if tenant_token is None or not await self._is_valid(tenant_token.id):
            raise Problem(401, "invalid or expired token", headers=CHALLENGE)
        actor = Actor(ActorKind.TENANT, str(tenant_token.id))
        caller = request[CALLER] = Caller(actor, tenant_token.scope, tenant_token.tenant_id)
        if named not in (None, tenant_token.tenant_id):
            raise Problem(403, "the token belongs to another tenant than X-Tenant-ID names")
        return caller

    async def hides(self, caller: Caller, kind: str, object_id: UUID) -> bool:
        """Whether this object does not exist for the caller, although its tenant has it."""
        if caller.is_operator or caller.tenant_id is None:
            return False
        return await self._is_of_operator(caller.tenant_id, kind, object_id)

    def load_key(self, request: web.Request) -> str | None:
        """
        Whom the load of a request counts against: the tenant, or an operator without a tenant.

        None for a request without a genuine token. Asks no database: a token that was revoked
        still counts against its tenant.
        """
        token = _bearer_token(request)
        if token is None:
            return None
        operator = self.operator_with(token)
        if operator is not None:
            return request.headers.get("X-Tenant-ID", "").lower() or operator.name
        tenant_token = self.tenant_tokens.read(token)
        return None if tenant_token is None else str(tenant_token.tenant_id)

    def operator_with(self, token: str) -> OperatorToken | None:
        """The operator whose token this is; None if there is none."""
        digest = sha256(token.encode(errors="surrogateescape")).digest()
        # Every one is compared: stopping early would reveal the matching token by the duration.
        matching = [each for own, each in self._operators if hmac.compare_digest(digest, own)]
        return matching[0] if matching else None


def _bearer_token(request: web.Request) -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if token and scheme.lower() == "bearer" else None


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
