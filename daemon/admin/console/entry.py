"""
The console's entrance: operators sign in with a token, a tenant's people enter with a link's code.

The code is in the fragment of the link, which browsers do not send, so that no proxy's log and no
Referer has it; a script puts it into the form. Without scripts, people paste it. Over plain http
only this machine is let in: the cookie could be read on the network. A link
replaces the session of an operator, or of another tenant, only after a question: it may come from
another person.
"""

import hmac
import re
from collections.abc import Mapping
from urllib.parse import unquote

import structlog
from aiohttp import web

from daemon.admin.api.client_address import TrustedProxies
from daemon.admin.api.failed_logins import FailedLogins
from daemon.admin.api.peer import client_network
from daemon.admin.console import csrf
from daemon.admin.console.cookies import set_session
from daemon.admin.console.cross_site import came_from_another_site
from daemon.admin.console.form_fields import read_form
from daemon.admin.console.page import now
from daemon.admin.console.rendering import Renderer
from daemon.admin.console.sessions import Session, Sessions
from daemon.admin.console.transport import is_https, is_loopback
from daemon.core.model.ids import TenantId

log = structlog.get_logger()

# A path that names no other host.
NEXT = re.compile(r"/(?:[A-Za-z0-9_.~?&=%-][A-Za-z0-9_.~?&=%/:+,-]*)?")
LONGEST_NEXT = 2000
FRAME = "iframe"
REPLACES = "replaces"
NEEDS_HTTPS = (
    "Signing in needs https: over plain http, others on the network could take over your session."
    " Open the console at its https address, or on the machine on which the daemon runs."
)
WRONG_TOKEN = "This is not the token of an operator."
TOO_MANY_WRONG = "There were too many wrong tokens from your address. Try again in a minute."
USED_LINK = (
    "This link was used before, has expired or was revoked. A link opens once: go on in the"
    " browser in which it was opened, or ask for a new one."
)


class Entrance:
    """The pages that begin and end sessions; `root` is the console's path in URLs."""

    def __init__(
        self,
        sessions: Sessions,
        renderer: Renderer,
        *,
        root: str,
        proxies: TrustedProxies,
        may_be_framed: bool,
    ) -> None:
        self._sessions = sessions
        self._renderer = renderer
        self._root = root
        self._proxies = proxies
        self._may_be_framed = may_be_framed
        self._failures = FailedLogins()

    def add_routes(self, app: web.Application, *, prefix: str) -> None:
        """Serve the pages below `prefix`."""
        app.router.add_get(prefix, self.home)
        app.router.add_get(f"{prefix}/", self.home)
        app.router.add_get(f"{prefix}/sign-in", self.show_sign_in)
        app.router.add_post(f"{prefix}/sign-in", self.sign_in)
        app.router.add_get(f"{prefix}/enter", self.show_enter)
        app.router.add_post(f"{prefix}/enter", self.enter)
        app.router.add_post(f"{prefix}/sign-out", self.sign_out)

    async def home(self, request: web.Request) -> web.StreamResponse:
        """Send the browser to the first page of the session."""
        session = await self._sessions.find(request)
        if session is None and came_from_another_site(request):
            return await self._renderer.entrance("again.html", now=now(), url=self._root)
        return _redirect(f"{self._root}/sign-in" if session is None else self._start(session))

    async def show_sign_in(self, request: web.Request) -> web.StreamResponse:
        """The form for an operator's token."""
        following = request.query.get("next", "")
        return await self._sign_in_page(200, self._refusal(request), following)

    async def sign_in(self, request: web.Request) -> web.StreamResponse:
        """Begin an operator's session."""
        csrf.check_origin(request)
        form = await read_form(request)
        following = form.get("next", "")
        if refusal := self._refusal(request):
            return await self._sign_in_page(403, refusal, following)
        session = await self._sessions.sign_in(form.get("token", "").strip())
        if session is None:
            wait = self._failures.record(client_network(request, self._proxies))
            if wait is not None:
                return await self._sign_in_page(429, TOO_MANY_WRONG, following)
            return await self._sign_in_page(422, WRONG_TOKEN, following)
        log.info("console.signed_in", operator=session.signed.operator)
        path = f"{self._root}{following}" if _is_page(following) else None
        return self._begin(request, session, path)

    async def show_enter(self, request: web.Request) -> web.StreamResponse:
        """The form for a link's code, which a script fills and submits."""
        return await self._enter_page(200, self._refusal(request))

    async def enter(self, request: web.Request) -> web.StreamResponse:
        """Begin the session of a portal link."""
        csrf.check_origin(request)
        form = await read_form(request)
        if error := self._refusal(request):
            return await self._enter_page(403, error)
        code = unquote(form.get("code", "").strip().rpartition("#")[2])
        present = await self._sessions.find(request)
        if present is not None and not _is_replaced(present, form):
            tenant_id = await self._sessions.tenant_of(code)
            if tenant_id is not None and tenant_id != present.tenant_id:
                return await self._question(present, tenant_id, code)
        session = await self._sessions.enter(code)
        if session is not None:
            log.info("console.entered", tenant_id=str(session.tenant_id))
            return self._begin(request, session, None)
        if present is not None and await self._sessions.began_with(present, code):
            return _redirect(self._start(present))
        return await self._enter_page(422, USED_LINK)

    async def sign_out(self, request: web.Request) -> web.StreamResponse:
        """End the session everywhere."""
        csrf.check_origin(request)
        session = await self._sessions.find(request)
        form = await read_form(request)
        if session is not None:
            csrf.check_token(form.get(csrf.FIELD, ""), session.cookie)
            await self._sessions.end(session)
        response = _redirect(f"{self._root}/sign-in")
        set_session(response, "", max_age=0, https=is_https(request, self._proxies), framed=False)
        return response

    def _begin(
        self, request: web.Request, session: Session, path: str | None
    ) -> web.StreamResponse:
        response = _redirect(path or self._start(session))
        lifetime = (session.signed.expires_at - now()).total_seconds()
        set_session(
            response,
            session.cookie,
            max_age=max(1, int(lifetime)),
            https=is_https(request, self._proxies),
            # Browsers say so of every navigation, and show no frame that the policy forbids.
            framed=self._may_be_framed and request.headers.get("Sec-Fetch-Dest") == FRAME,
        )
        return response

    def _start(self, session: Session) -> str:
        if session.tenant_id is None:
            return f"{self._root}/tenants"
        webhook_id = None if session.link is None else session.link.webhook_id
        below = f"/webhooks/{webhook_id}" if webhook_id else "/webhooks"
        return f"{self._root}/t/{session.tenant_id}{below}"

    def _refusal(self, request: web.Request) -> str | None:
        """Why this connection is not private enough to sign in; None if it is."""
        return None if is_https(request, self._proxies) or is_loopback(request) else NEEDS_HTTPS

    async def _question(
        self, present: Session, tenant_id: TenantId, code: str
    ) -> web.StreamResponse:
        """The page that asks whether a link may replace the session of this browser."""
        own_id = present.tenant_id
        linked, *own = await self._sessions.names([tenant_id, *([own_id] if own_id else [])])
        return await self._renderer.entrance(
            "replace.html",
            now=now(),
            present=own[0] if own else f"operator {present.signed.operator}",
            linked=linked,
            code=code,
            replaces=csrf.token_of(present.cookie),
            stay=self._start(present),
        )

    async def _enter_page(self, status: int, error: str | None) -> web.Response:
        return await self._renderer.entrance("enter.html", now=now(), status=status, error=error)

    async def _sign_in_page(self, status: int, error: str | None, following: str) -> web.Response:
        return await self._renderer.entrance(
            "sign_in.html", now=now(), status=status, error=error, following=following
        )


def _is_page(following: str) -> bool:
    """Whether this is the rest of a URL below the console, which no `..` leads out of."""
    if len(following) > LONGEST_NEXT or not NEXT.fullmatch(following):
        return False
    # Browsers read %2e as a dot.
    return not {".", ".."} & set(unquote(following.partition("?")[0]).split("/"))


def _is_replaced(present: Session, form: Mapping[str, str]) -> bool:
    """Whether this form agrees to replace the present session."""
    agreed = form.get(REPLACES, "").encode(errors="replace")
    return hmac.compare_digest(agreed, csrf.token_of(present.cookie).encode())


def _redirect(path: str) -> web.Response:
    return web.Response(status=303, headers={"Location": path, "Cache-Control": "no-store"})
