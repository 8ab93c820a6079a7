"""The routes of the API on the aiohttp application: requests in, JSON responses out."""

from collections.abc import Awaitable, Callable, Iterable
from uuid import UUID

import orjson
from aiohttp import HttpVersion11, web

from daemon.admin.api.auth import Access
from daemon.admin.api.operation import ApiResponse, Route
from daemon.admin.api.problems import Problem
from daemon.admin.api.request import read_request


def add_routes(app: web.Application, routes: Iterable[Route], access: Access) -> None:
    """Serve every route on `app`."""
    for route in routes:
        app.router.add_route(
            route.operation.method,
            route.operation.path,
            _http_handler(route, access),
            expect_handler=_answer_expect,
        )


def _http_handler(
    route: Route, access: Access
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        return _rendered(await route.handler(await read_request(route.operation, request, access)))

    return handle


async def _answer_expect(request: web.Request) -> web.StreamResponse | None:
    """Continue, or answer 417 at once; aiohttp's own answer would quote the header."""
    if request.version < HttpVersion11:
        return None
    if request.headers.get("Expect", "").lower() != "100-continue":
        return Problem(417, "the only supported Expect value is 100-continue").response()
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # otherwise it counts as the beginning of the response
    return None


def _rendered(response: ApiResponse) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    if response.body is None:
        return web.Response(status=response.status, headers=headers)
    return web.Response(
        body=orjson.dumps(response.body.model_dump(by_alias=True), _uuid_as_text, orjson.OPT_UTC_Z),
        status=response.status,
        content_type="application/json",
        headers=headers,
    )


def _uuid_as_text(value: object) -> str:
    """asyncpg's own UUID class is unknown to orjson. Raises TypeError for any other type."""
    if isinstance(value, UUID):
        return str(value)
    raise TypeError
