"""Renders the console's pages, with the headers that confine what a page may do."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web

from daemon.admin.console import csrf, times
from daemon.admin.console.assets import Assets
from daemon.admin.console.templates import compile_all, templates
from daemon.runtime.offload import Offload

if TYPE_CHECKING:
    from daemon.admin.console.page import PageRequest

NO_FRAMES = "'none'"


class Renderer:
    """
    Renders pages; `root` is the console's path in URLs.

    Only pages of `allowed_origins` may show the console in a frame. With the first page, the
    templates of the others are compiled.
    """

    def __init__(
        self, assets: Assets, offload: Offload, *, root: str, allowed_origins: Sequence[str] = ()
    ) -> None:
        self._root = root
        self._assets = assets
        self._offload = offload
        self._compiling: asyncio.Task[None] | None = None
        self._headers = {
            "Content-Security-Policy": _policy(" ".join(allowed_origins) or NO_FRAMES),
            "Cache-Control": "no-store",
            # With no-referrer, browsers would not name the origin of a form either.
            "Referrer-Policy": "same-origin",
        }
        if allowed_origins:
            # Browsers follow the policy's frame-ancestors; this is for those that do not know it.
            self._headers["X-Frame-Options"] = "SAMEORIGIN"

    def page(
        self, request: "PageRequest", template: str, *, status: int = 200, **values: object
    ) -> web.Response:
        """Render a page of a session."""
        return self._response(
            template,
            status,
            now=request.now,
            session=request.session,
            base=request.base,
            tenant_id=request.tenant_id,
            query=request.query,
            path=request.http.path,
            csrf=csrf.token_of(request.session.cookie),
            may_change=request.session.may_change,
            held=request.held,
            **values,
        )

    def entrance(
        self, template: str, *, now: datetime, status: int = 200, **values: object
    ) -> web.Response:
        """Render a page without a session."""
        return self._response(template, status, now=now, **values)

    def _response(
        self, template: str, status: int, *, now: datetime, **values: Any
    ) -> web.Response:
        text = (
            templates()
            .get_template(template)
            .render(
                assets=self._assets,
                root=self._root,
                now=now,
                ago=partial(times.relative, now=now),
                due=partial(times.due, now=now),
                clock=partial(times.clock, now=now),
                **values,
            )
        )
        response = web.Response(
            text=text, status=status, content_type="text/html", headers=self._headers
        )
        response.enable_compression()
        if self._compiling is None:
            self._compiling = asyncio.create_task(compile_all(self._offload))
        return response

    async def close(self, _: web.Application) -> None:
        """Compile no more templates."""
        if self._compiling is not None:
            self._compiling.cancel()


def _policy(frame_ancestors: str) -> str:
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            f"frame-ancestors {frame_ancestors}",
        )
    )
