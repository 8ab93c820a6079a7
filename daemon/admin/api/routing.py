"""The routes of the API on the aiohttp application: requests in, JSON responses out."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

from aiohttp import HttpVersion11, web

from daemon.admin.api.audit import AuditLog
from daemon.admin.api.auth import Access
from daemon.admin.api.idempotency import Idempotency
from daemon.admin.api.operation import ApiRequest, ApiResponse, Handler, Route
from daemon.admin.api.problems import Problem
from daemon.admin.api.request import read_request
from daemon.core.errors import DatabaseUnavailableError, PostponedError

CLIENT_GONE = 499  # recorded of a request whose client disconnected before the response


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
            if not operation.changes(request.body):
                return _rendered(await route.handler(request))
            return _rendered(await _audited(route.handler, request, audit_log))

        return await idempotency.answer(operation, http_request, request, act)

    return handle


async def _audited(handler: Handler, request: ApiRequest, audit_log: AuditLog) -> ApiResponse:
    """Handle a request that changes something, and record it."""
    try:
        response = await handler(request)
    except Problem as problem:
        if problem.performed:
            await audit_log.finish(request.audit, status=problem.status)
        elif problem.status >= 500:
            audit_log.refuse(replace(request.audit.record, status=problem.status))
        raise
    except BaseException as error:
        # What was changed until then is unknown here.
        audit_log.refuse(replace(request.audit.record, status=_status_of(error)))
        raise
    await audit_log.finish(request.audit, status=response.status)
    return response


def _status_of(error: BaseException) -> int:
    """The status with which the middlewares answer this error."""
    if isinstance(error, asyncio.CancelledError):
        return CLIENT_GONE
    return 503 if isinstance(error, DatabaseUnavailableError | PostponedError) else 500


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
        body=response.body.as_json(),
        status=response.status,
        content_type="application/json",
        headers=headers,
    )
