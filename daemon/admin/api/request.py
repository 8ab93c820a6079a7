"""A request, read and judged before its operation sees it."""

import asyncio
from typing import Any
from uuid import UUID

import orjson
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import BaseModel, ValidationError

from daemon.admin.api.auth import Caller
from daemon.admin.api.operation import Operation
from daemon.admin.api.problems import Problem, not_found
from daemon.admin.api.validation import in_body, in_query
from daemon.core.model.ids import TenantId
from daemon.core.wire.event_ids import parse_event_id

NOBODY = UUID(int=0)


BODY_SECONDS = 10.0


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
        return parse_event_id(text) if operation.id_name == "event" else UUID(text)
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
