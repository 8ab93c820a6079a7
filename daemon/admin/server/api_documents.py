"""
The API's OpenAPI and AsyncAPI documents and its reference page, as responses.

They are built when they are first asked for, in a thread: that takes a fifth of a second, for which
neither the start nor the loop should wait.
"""

import asyncio
from collections.abc import Sequence

import orjson
from aiohttp import web

from daemon.admin.api import asyncapi, openapi, reference_page
from daemon.admin.api.operation import Operation


class ApiDocuments:
    """Serves them at their paths; they are built once."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._operations = operations
        self._building: asyncio.Task[tuple[bytes, str]] | None = None

    def add_routes(self, app: web.Application) -> None:
        """Serve them on `app`."""
        app.router.add_get("/openapi.json", self._openapi_document)
        app.router.add_get("/asyncapi.json", self._asyncapi_document)
        app.router.add_get("/docs", self._reference)

    async def _openapi_document(self, _: web.Request) -> web.Response:
        body, _page = await self._built()
        return web.Response(body=body, content_type="application/json")

    async def _asyncapi_document(self, _: web.Request) -> web.Response:
        body = orjson.dumps(asyncapi.document(openapi.api_version()))
        return web.Response(body=body, content_type="application/json")

    async def _reference(self, _: web.Request) -> web.Response:
        _body, page = await self._built()
        headers = {"Content-Security-Policy": reference_page.CONTENT_SECURITY_POLICY}
        return web.Response(text=page, content_type="text/html", headers=headers)

    async def _built(self) -> tuple[bytes, str]:
        if self._building is None:
            self._building = asyncio.create_task(asyncio.to_thread(self._build))
        return await asyncio.shield(self._building)  # others may wait for it too

    def _build(self) -> tuple[bytes, str]:
        document = openapi.document(self._operations)
        return orjson.dumps(document), reference_page.render(document)
