"""
What the API can be asked: each operation says once what it takes and gives, and is served and
documented from that.

A request is judged here before its handler sees it: the caller, the ids, the query, the body.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import UUID

import orjson
from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import BaseModel, ValidationError

from daemon.admin.access import Access, Caller
from daemon.admin.mistakes import in_body, in_query
from daemon.admin.problems import Problem, not_found
from daemon.core.model.ids import TenantId


@dataclass(frozen=True, slots=True)
class Reply:
    """A status and what goes with it; None is an empty answer."""

    status: int
    body: BaseModel | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """One request, judged: handlers need look at nothing else."""

    caller: Caller
    tenant: TenantId
    id: UUID
    body: Any
    query: Any


@dataclass(frozen=True, slots=True)
class Link:
    """What may be asked next: that operation with this answer's member as its `id`."""

    operation: str
    member: str = "id"


@dataclass(frozen=True, slots=True)
class Operation:
    """`replies` says of each status what it means and what comes with it."""

    method: str
    path: str
    name: str
    tag: str
    summary: str
    handle: Callable[[Call], Awaitable[Reply]]
    replies: Mapping[int, tuple[str, type[BaseModel] | None]]
    body: type[BaseModel] | None = None
    body_optional: bool = False
    query: type[BaseModel] | None = None
    problems: Sequence[int] = ()
    description: str = ""
    id_name: str = "webhook"
    operator_only: bool = False
    links: Mapping[str, Link] = field(default_factory=dict)

    @property
    def takes_id(self) -> bool:
        return "{id}" in self.path


NOBODY = UUID(int=0)
BODY_SECONDS = 10.0


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


def _tenant_for(operation: Operation, caller: Caller) -> TenantId:
    if operation.operator_only:
        if not caller.is_operator:
            raise Problem(403, "only an operator's token may do this")
        return TenantId(NOBODY)
    if caller.tenant_id is None:
        raise Problem(400, "name the tenant in X-Tenant-ID: an operator's token is for every one")
    return caller.tenant_id


def _id_of(operation: Operation, request: web.Request) -> UUID:
    if not operation.takes_id:
        return NOBODY
    text = request.match_info["id"]
    try:
        # An event's id may also be given as its receivers know it.
        return UUID(text.removeprefix("evt_") if operation.id_name == "event" else text)
    except ValueError:
        raise not_found(operation.id_name) from None


def _query_of(operation: Operation, request: web.Request) -> BaseModel | None:
    given = dict(request.query)
    if len(given) < len(request.query):
        raise Problem(422, "a query parameter is there twice")
    if operation.query is None:
        if given:
            raise Problem(422, "this takes no query parameters")
        return None
    try:
        return operation.query.model_validate(given)
    except ValidationError as invalid:
        raise in_query(invalid) from None


async def _whole(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _read(request)
    except TimeoutError:
        raise Problem(408, f"the body did not come within {BODY_SECONDS:g} s") from None


async def _body_of(operation: Operation, request: web.Request) -> BaseModel | None:
    model = operation.body
    raw = await _whole(request)
    if model is None:
        if raw.strip() not in (b"", b"{}"):
            raise Problem(422, "this takes no body")
        return None
    if not raw and operation.body_optional:
        return model()
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Problem(415, "the body must not be compressed: Content-Encoding is not taken")
    media_type = request.content_type.lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise Problem(415, "the body must be application/json")
    value = _parsed(raw)
    try:
        return model.model_validate_json(raw, strict=True)
    except ValidationError as invalid:
        raise in_body(invalid, model, value) from None


async def _read(request: web.Request) -> bytes:
    """Raises Problem for a body that never comes to its end: that is no fault of ours."""
    try:
        return await request.read()
    except (OSError, web.RequestPayloadError, HttpProcessingError):
        raise Problem(400, "the body ended too early, or is not as its headers say") from None


def _parsed(raw: bytes) -> dict[str, Any]:
    """Raises Problem for what is no object, or could not be stored."""
    if not raw:
        raise Problem(400, "the body is empty: it must be a JSON object")
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Problem(400, f"the body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise Problem(422, "the body must be a JSON object")
    if b"\\u0000" in raw and _holds_nul(value):
        raise Problem(422, "the body holds a NUL character (\\u0000), which cannot be stored")
    return value


def _holds_nul(value: object) -> bool:
    """PostgreSQL's text and jsonb have everything that JSON has, but for this."""
    rest = [value]
    while rest:
        match rest.pop():
            case str(text) if "\0" in text:
                return True
            case list(items):
                rest += items
            case dict(members):
                rest += [*members, *members.values()]
    return False


def given(body: BaseModel) -> dict[str, Any]:
    """The members of a body that the caller wrote, null among them."""
    return {name: getattr(cast("Any", body), name) for name in body.model_fields_set}
