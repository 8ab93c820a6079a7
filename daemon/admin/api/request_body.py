"""The body of a request: read within a deadline, parsed and validated."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import orjson
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import BaseModel, ValidationError

from daemon.admin.api.known_caller import known_caller
from daemon.admin.api.operation import Operation
from daemon.admin.api.problems import FieldError, Problem
from daemon.admin.api.validation import body_problem
from daemon.core.scheduling.owned_places import OwnedPlaces

BODY_SECONDS = 10.0
# More than a valid body has of anything; the cost of judging a body grows with it.
MOST_MEMBERS = 100
MOST_ELEMENTS = 10_000
# Brackets, of which a text of a valid body may have some thousand too: to parse a megabyte of them
# would hold up the loop, and take a hundred megabytes.
MOST_BRACKETS = 2 * MOST_ELEMENTS
# A valid body is smaller, even with a certificate and everything else at its limit.
LARGE_BYTES = 256 * 1024
LARGE_AT_ONCE = 16

large_bodies = OwnedPlaces(LARGE_AT_ONCE)


async def read_body(operation: Operation, request: web.Request) -> BaseModel | None:
    """
    Read the body that the operation declares; None when it declares none.

    Raises Problem: 400 for a body that is not JSON, 408 for one that comes too slowly, 415 for
    another media type or encoding, 422 for one that does not match the model, 503 for a large one
    while too many others are being read.
    """
    model = operation.body
    raw = await read_within_deadline(request)
    if model is None:
        if raw.strip() not in (b"", b"{}"):
            raise Problem(422, "this operation takes no body")
        return None
    if not raw and operation.body_optional:
        return model()
    _check_headers(request)
    return parse_body(raw, model)


def parse_body(raw: bytes, model: type[BaseModel]) -> BaseModel:
    """Validate a body. Raises Problem: 400 for what is not JSON, 422 for what does not match."""
    value = _parse_object(raw)
    try:
        return model.model_validate_json(raw, strict=True)
    except ValidationError as invalid:
        raise body_problem(invalid, model, value) from None


async def read_within_deadline(request: web.Request) -> bytes:
    """
    The raw body.

    Raises Problem: 400 for one that breaks off, 408 for one that is too slow, 503 for a large one
    while too many others are being read.
    """
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _read(request)
    except TimeoutError:
        raise Problem(408, f"the body did not arrive within {BODY_SECONDS:g} s") from None


async def _read(request: web.Request) -> bytes:
    """Raises Problem for a body that breaks off: the client's fault, not an internal error."""
    length = request.content_length
    is_large = request.body_exists and (length is None or length > LARGE_BYTES)
    try:
        with _place(request) if is_large else nullcontext():
            return await request.read()
    except (OSError, web.RequestPayloadError, HttpProcessingError):
        raise Problem(400, "the body is incomplete or does not match its headers") from None


@contextmanager
def _place(request: web.Request) -> Iterator[None]:
    """Raises Problem (503) if there is none for another large body; strangers are one owner."""
    owner = known_caller(request)
    if not large_bodies.take(owner):
        raise Problem(503, "too many large requests at once: try again")
    try:
        yield
    finally:
        large_bodies.give_back(owner)


def _check_headers(request: web.Request) -> None:
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Problem(415, "the body must not be compressed: Content-Encoding is not supported")
    media_type = request.content_type.lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise Problem(415, "the Content-Type of the body must be application/json")


def _parse_object(raw: bytes) -> dict[str, Any]:
    if not raw:
        raise Problem(400, "the body is empty: send a JSON object")
    if raw.count(b"[") + raw.count(b"{") > MOST_BRACKETS:
        raise _too_many("#")
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Problem(400, f"the body is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise Problem(422, "the body must be a JSON object")
    _check_size(value)
    if b"\\u0000" in raw and _contains_nul(value):
        raise Problem(422, "the body contains a NUL character (\\u0000), which cannot be stored")
    return value


def _check_size(body: dict[str, Any]) -> None:
    """Raises Problem (422) for more members or elements than any valid body has."""
    if len(body) > MOST_MEMBERS:
        raise _too_many("#")
    for name, member in body.items():
        rest, count = [member], 0
        while rest and count <= MOST_ELEMENTS:
            inner = rest.pop()
            if isinstance(inner, list | dict):
                count += len(inner)
                if count <= MOST_ELEMENTS:
                    rest += inner if isinstance(inner, list) else inner.values()
        if count > MOST_ELEMENTS:
            raise _too_many(f"#/{name}")


def _too_many(place: str) -> Problem:
    found = FieldError(place, "has too many members or elements")
    return Problem(422, "the body has too many members or elements", field_errors=[found])


def _contains_nul(value: object) -> bool:
    """NUL is the only character of JSON that PostgreSQL's text and jsonb cannot store."""
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
