"""The routes of the API on the aiohttp application: requests in, JSON responses out."""

from collections.abc import Awaitable, Callable, Iterable

from aiohttp import HttpVersion11, web

from daemon.admin.api.audit import AuditLog
from daemon.admin.api.auth import Access
from daemon.admin.api.idempotency import Idempotency
from daemon.admin.api.operation import ApiResponse, Route
from daemon.admin.api.performing import perform
from daemon.admin.api.problems import Problem
from daemon.admin.api.request import read_request
from daemon.runtime.time_slice import TimeSlice


def add_routes(
    app: web.Application,
    routes: Iterable[Route],
    *,
    access: Access,
    audit_log: AuditLog,
    idempotency: Idempotency,
) -> None:
    """Serve every route on `app`."""
    for route in routes:
        app.router.add_route(
            route.operation.method,
            route.operation.path,
            _http_handler(route, access, audit_log, idempotency),
            expect_handler=_answer_expect,
        )


def _http_handler(
    route: Route, access: Access, audit_log: AuditLog, idempotency: Idempotency
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    operation = route.operation

    async def handle(http_request: web.Request) -> web.StreamResponse:
        request = await read_request(operation, http_request, access=access, audit_log=audit_log)

        async def act() -> web.Response:
            return await _rendered(await perform(route, request, audit_log))

        return await idempotency.answer(operation, http_request, request, act)

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


async def _rendered(response: ApiResponse) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    if response.body is None:
        return web.Response(status=response.status, headers=headers)
    pieces, time_slice = [], TimeSlice(patient=True)
    for piece in response.body.json_pieces():
        pieces.append(piece)
        await time_slice.yield_if_used()
    return web.Response(
        body=b"".join(pieces),
        status=response.status,
        content_type="application/json",
        headers=headers,
    )
