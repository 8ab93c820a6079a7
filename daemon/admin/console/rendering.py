"""
Renders the console's pages, with the headers that confine what a page may do.

The rule: no page holds the event loop for more than some milliseconds, however much a customer put
into what it shows. A template yields its text in pieces, each of a bounded size; a page that is not
finished within a slice of time goes on when it is its caller's turn, a slice at a time. On the loop
its time counts against its caller (`api.loop_time`), as it would not in a thread.
"""

import asyncio
import time
from collections.abc import Hashable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web

from daemon.admin.console import csrf, times
from daemon.admin.console.assets import Assets
from daemon.admin.console.templates import compile_all, templates
from daemon.runtime.offload import Offload
from daemon.runtime.turns import Turns

if TYPE_CHECKING:
    from daemon.admin.console.page import PageRequest

NO_FRAMES = "'none'"
# Most pages take less. Between two slices, the loop has at least as long for everything else.
SLICE_SECONDS = 0.003


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
        self._turns = Turns()
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

    async def page(
        self, request: "PageRequest", template: str, *, status: int = 200, **values: object
    ) -> web.Response:
        """Render a page of a session."""
        return await self._response(
            template,
            status,
            owner=request.session.signed.load_key,
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

    async def entrance(
        self, template: str, *, now: datetime, status: int = 200, **values: object
    ) -> web.Response:
        """Render a page without a session."""
        return await self._response(template, status, now=now, owner=None, **values)

    async def _response(
        self, template: str, status: int, *, now: datetime, owner: Hashable, **values: Any
    ) -> web.Response:
        pieces = (
            templates()
            .get_template(template)
            .generate(
                assets=self._assets,
                root=self._root,
                now=now,
                ago=partial(times.relative, now=now),
                due=partial(times.due, now=now),
                clock=partial(times.clock, now=now),
                **values,
            )
        )
        text = await self._joined(pieces, owner)
        response = web.Response(
            text=text, status=status, content_type="text/html", headers=self._headers
        )
        response.enable_compression()
        if self._compiling is None:
            self._compiling = asyncio.create_task(compile_all(self._offload))
        return response

    async def _joined(self, pieces: Iterator[str], owner: Hashable) -> str:
        rendered: list[str] = []
        if not _add_for_a_slice(pieces, rendered):
            async with self._turns.of(owner):
                is_all = False
                while not is_all:
                    await asyncio.sleep(SLICE_SECONDS)
                    is_all = _add_for_a_slice(pieces, rendered)
        return "".join(rendered)

    async def close(self, _: web.Application) -> None:
        """Compile no more templates."""
        if self._compiling is not None:
            self._compiling.cancel()


def _add_for_a_slice(pieces: Iterator[str], rendered: list[str]) -> bool:
    """Add pieces for a slice of time; whether there are no more."""
    end = time.perf_counter() + SLICE_SECONDS
    for piece in pieces:
        rendered.append(piece)
        if time.perf_counter() >= end:
            return False
    return True


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
