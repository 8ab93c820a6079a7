"""
The console's pages on the HTTP application: whose session it is comes first, then the page.

The rule: a POST is performed only from a form of this session and this origin.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from urllib.parse import quote

import structlog
from aiohttp import web

from daemon.admin.api.problems import Problem
from daemon.admin.console import csrf
from daemon.admin.console.api_calls import ApiCalls
from daemon.admin.console.cross_site import came_from_another_site
from daemon.admin.console.failures import showing_failures
from daemon.admin.console.form_fields import read_form
from daemon.admin.console.form_token import EDIT
from daemon.admin.console.form_tokens import FormTokens
from daemon.admin.console.page import Page, PageHandler, PageRequest, now, tenant_in_path
from daemon.admin.console.rendering import Renderer
from daemon.admin.console.sessions import Session, Sessions
from daemon.admin.console.tenant_names import TenantNames

log = structlog.get_logger()


class Console:
    """Adds pages to an application; `root` is the console's path in URLs, `prefix` its own."""

    def __init__(
        self,
        sessions: Sessions,
        calls: ApiCalls,
        renderer: Renderer,
        form_tokens: FormTokens,
        tenant_names: TenantNames,
        *,
        root: str,
        prefix: str,
    ) -> None:
        self._sessions = sessions
        self._calls = calls
        self._renderer = renderer
        self._form_tokens = form_tokens
        self._tenant_names = tenant_names
        self._root = root
        self._prefix = prefix

    def add(self, app: web.Application, pages: Iterable[tuple[Page, PageHandler]]) -> None:
        """Serve these pages."""
        for declared, handler in pages:
            at_root = declared.operators or declared.anyone
            below = self._prefix if at_root else f"{self._prefix}/t/{{tenant}}"
            add = app.router.add_get if declared.method == "GET" else app.router.add_post
            handle = showing_failures(self._handler(declared, handler), self._renderer)
            add(f"{below}{declared.path}", handle)

    def _handler(
        self, declared: Page, handler: PageHandler
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            session = await self._sessions.find(request)
            if session is None:
                return await self._without_session(request)
            form = await read_form(request) if declared.method == "POST" else {}
            page_request = self._page_request(request, session, form)
            try:
                _check(declared, page_request)
                page_request = page_request.at(tenant_in_path(request, session))
                if declared.document:
                    page_request = await _with_holds(page_request)
                if declared.once and not (declared.edits and EDIT in page_request.form):
                    return await self._form_tokens.answer(page_request, partial(_answer, handler))
            except Problem as problem:
                return await problem_page(page_request, problem)
            return await _answer(handler, page_request)

        return handle

    def _page_request(
        self, request: web.Request, session: Session, form: Mapping[str, str]
    ) -> PageRequest:
        return PageRequest(
            *(request, session, self._root, None, form, self._calls, self._renderer, now()),
            form_tokens=self._form_tokens,
            tenant_names=self._tenant_names,
        )

    async def _without_session(self, request: web.Request) -> web.Response:
        """Send the browser to the page that begins a session, and back afterwards."""
        below = request.rel_url.raw_path_qs.removeprefix(self._prefix)
        if came_from_another_site(request):
            return await self._renderer.entrance(
                "again.html", now=now(), url=f"{self._root}{below}"
            )
        path = f"{self._root}/sign-in"
        if request.method == "GET":
            path += f"?next={quote(below)}"
        return web.Response(status=303, headers={"Location": path, "Cache-Control": "no-store"})


async def _with_holds(request: PageRequest) -> PageRequest:
    """The request with what is held: each page says it."""
    if request.tenant_id is None and not request.session.is_operator:
        return request
    return replace(request, held=await request.api("retrieveHolds"))


async def _answer(handler: PageHandler, request: PageRequest) -> web.StreamResponse:
    try:
        return await handler(request)
    except Problem as problem:
        return await problem_page(request, problem)


async def problem_page(request: PageRequest, problem: Problem) -> web.Response:
    """The page that says what is wrong with a request, with the way back."""
    return await request.page(
        "problem.html", status=problem.status, problem=problem, back=_back(request)
    )


def _back(request: PageRequest) -> str:
    """The page of what a form was about; the first page otherwise."""
    above, _, _ = request.http.path.rpartition("/")
    is_of_object = request.http.method == "POST" and above.startswith(
        tuple(f"{request.base}/{name}/" for name in ("webhooks", "deliveries", "replays"))
    )
    return above if is_of_object else request.base


def _check(declared: Page, request: PageRequest) -> None:
    """
    Raises Problem: 404 for pages of operators, 403 for a form of another session or origin, or of
    a session that may only read.
    """
    if declared.operators and not request.session.is_operator:
        raise Problem(404, "there is no such page")
    if declared.method == "POST":
        csrf.check_origin(request.http)
        csrf.check_token(request.form.get(csrf.FIELD, ""), request.session.cookie)
        if not (declared.reads or request.session.may_change):
            raise Problem(403, "you may only look, and change nothing")
