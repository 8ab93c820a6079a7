"""Operations served as routes, and their answers written."""

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import orjson
from aiohttp import HttpVersion11, web

from daemon.admin.api.auth import Access
from daemon.admin.api.operation import Call, Operation, Reply
from daemon.admin.api.problems import Problem
from daemon.admin.api.request import _body_of, _id_of, _query_of, _tenant_for


def serve(app: web.Application, operations: Sequence[Operation], access: Access) -> None:
    """Add a route for each."""
    for operation in operations:
        app.router.add_route(
            *(operation.method, operation.path, _route(operation, access)),
            expect_handler=_expected,
        )


async def _expected(request: web.Request) -> web.StreamResponse | None:
    """To go on, or what to answer at once; aiohttp's own answer quotes the header."""
    if request.version < HttpVersion11:
        return None
    if request.headers.get("Expect", "").lower() != "100-continue":
        return Problem(417, "Expect may only be 100-continue").response()
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # or it would count as the beginning of the answer
    return None


def _route(
    operation: Operation, access: Access
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        caller = access.caller(request)
        call = Call(
            caller=caller,
            tenant=_tenant_for(operation, caller),
            id=_id_of(operation, request),
            query=_query_of(operation, request),
            body=await _body_of(operation, request),
        )
        reply = await operation.handle(call)
        return _response(reply)

    return answer


def _response(reply: Reply) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    if reply.body is None:
        return web.Response(status=reply.status, headers=headers)
    return web.Response(
        body=orjson.dumps(reply.body.model_dump(by_alias=True), _plain, orjson.OPT_UTC_Z),
        status=reply.status,
        content_type="application/json",
        headers=headers,
    )


def _plain(value: object) -> str:
    """For asyncpg's own UUIDs, which orjson does not know. Raises TypeError for anything else."""
    if isinstance(value, UUID):
        return str(value)
    raise TypeError
