"""
Sessions of the console: an operator's, who signed in with a token, and a portal link's.

A session is looked up with every request, so that one that was ended stops at once everywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import uuid4

from aiohttp import web

from daemon.admin.api.auth import CALLER, Access, Caller
from daemon.admin.api.client_address import TrustedProxies
from daemon.admin.console.cookies import session_of
from daemon.admin.console.session_signer import SessionKind, SessionSigner, SignedSession
from daemon.admin.console.transport import is_https
from daemon.config import OperatorToken
from daemon.core.model.access import Scope
from daemon.core.model.audit import Actor, ActorKind
from daemon.core.model.ids import TenantId, TokenId
from daemon.core.model.portal_links import PortalLink
from daemon.store import operator_sessions, portal_links, tenants
from daemon.store.database import Database

OPERATOR_LIFETIME = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Session:
    """
    A valid session; `link` is the portal link that began it, None for an operator's.

    `cookie` is the secret text by which the browser keeps it.
    """

    signed: SignedSession
    cookie: str
    link: PortalLink | None

    @property
    def tenant_id(self) -> TenantId | None:
        """The only tenant that it reaches; None for an operator, who reaches all."""
        return self.signed.tenant_id

    @property
    def is_operator(self) -> bool:
        """Whether an operator signed in."""
        return self.signed.kind is SessionKind.OPERATOR

    @property
    def may_change(self) -> bool:
        """Whether it permits more than reading."""
        return self.signed.scope is Scope.FULL

    def caller(self, tenant_id: TenantId | None) -> Caller:
        """The caller of API operations on this tenant."""
        if self.is_operator:
            actor = Actor(ActorKind.OPERATOR, self.signed.operator)
        else:
            actor = Actor(ActorKind.TENANT, str(self.signed.id))
        return Caller(actor, self.signed.scope, self.tenant_id or tenant_id)


SESSION = web.RequestKey("console_session", Session)


class Sessions:
    """Begins, finds and ends sessions."""

    def __init__(
        self,
        database: Database,
        access: Access,
        *,
        operators: tuple[OperatorToken, ...],
        proxies: TrustedProxies,
    ) -> None:
        self._database = database
        self._access = access
        self._signer = SessionSigner(operators)
        self._proxies = proxies

    async def find(self, request: web.Request) -> Session | None:
        """The session of a request, which is also kept in it; None if there is no valid one."""
        cookie = self._cookie(request)
        signed = self._signer.read(cookie)
        if signed is None:
            return None
        async with self._database.connection() as db:
            if signed.kind is SessionKind.OPERATOR:
                link, is_valid = None, await operator_sessions.is_valid(db, signed.id)
            else:
                link = await portal_links.get_entered(db, signed.id)
                is_valid = link is not None
        if not is_valid:
            return None
        session = request[SESSION] = Session(signed, cookie, link)
        request[CALLER] = session.caller(None)
        return session

    def load_key(self, request: web.Request) -> str | None:
        """Whom the load of a request counts against, as `Access.load_key`; asks no database."""
        signed = self._signer.read(self._cookie(request))
        if signed is None:
            return None
        return signed.load_key

    async def sign_in(self, token: str) -> Session | None:
        """Begin the session of the operator with this token; None if there is none."""
        operator = self._access.operator_with(token)
        if operator is None:
            return None
        signed = SignedSession(
            SessionKind.OPERATOR,
            TokenId(uuid4()),
            operator.name,
            None,
            operator.scope,
            datetime.now(UTC).replace(microsecond=0) + OPERATOR_LIFETIME,
        )
        async with self._database.transaction() as db:
            await operator_sessions.insert(
                db, signed.id, operator=operator.name, expires_at=signed.expires_at
            )
        return self._begun(signed, None)

    async def enter(self, code: str) -> Session | None:
        """Begin the session of the portal link with this code; None if it cannot be used."""
        async with self._database.transaction() as db:
            link = await portal_links.enter(db, sha256(code.encode()).digest())
        if link is None:
            return None
        signed = SignedSession(
            SessionKind.PORTAL,
            link.id,
            link.created_by,
            link.tenant_id,
            link.scope,
            link.expires_at,
        )
        return self._begun(signed, link)

    async def tenant_of(self, code: str) -> TenantId | None:
        """The tenant to which `enter` would lead with this code."""
        async with self._database.connection() as db:
            link = await portal_links.get_unused(db, sha256(code.encode()).digest())
        return None if link is None else link.tenant_id

    async def names(self, tenant_ids: Sequence[TenantId]) -> list[str]:
        """The names of these tenants; the ids of those without one."""
        async with self._database.connection() as db:
            found = await tenants.names(db, tenant_ids)
        return [found.get(each, str(each)) for each in tenant_ids]

    async def began_with(self, session: Session, code: str) -> bool:
        """Whether the session is that of the portal link with this code."""
        if session.link is None:
            return False
        async with self._database.connection() as db:
            return await portal_links.has_code(db, session.link.id, sha256(code.encode()).digest())

    async def end(self, session: Session) -> None:
        """End a session everywhere."""
        async with self._database.transaction() as db:
            if session.link is None:
                await operator_sessions.delete(db, session.signed.id)
            else:
                await portal_links.delete(db, session.tenant_id, session.signed.id)

    def _begun(self, signed: SignedSession, link: PortalLink | None) -> Session | None:
        cookie = self._signer.sign(signed)
        return None if cookie is None else Session(signed, cookie, link)

    def _cookie(self, request: web.Request) -> str:
        return session_of(request, https=is_https(request, self._proxies))
