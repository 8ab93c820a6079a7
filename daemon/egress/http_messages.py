"""Requests as the bytes that are sent, and responses as values that can be stored."""

import codecs
from functools import lru_cache

from daemon.core.model.attempts import LONGEST_HEADER_VALUE, Request, Response
from daemon.core.model.secrets import HIDDEN
from daemon.core.policy.urls import Target
from daemon.egress.response_reader import RawResponse

MAX_HEADERS = 100
HEADS_KEPT = 64  # of 64 KiB at most
MAX_HEADERS_LENGTH = 16 * 1024  # characters of names and values; larger ones are left out

_utf8_decoder = codecs.getincrementaldecoder("utf-8")


def request_head(target: Target, request: Request, *, hide_secrets: bool = False) -> str:
    """
    Return request line and headers; `hide_secrets` hides the query and private headers.

    As sent, it is encoded as Latin-1: names and values must have been validated before.
    """
    path = target.path
    if hide_secrets and "?" in path:
        path = f"{path.partition('?')[0]}?…"
    lines = request.header_lines
    for name, value in request.private_headers:
        lines += f"{name}: {HIDDEN if hide_secrets else value}\r\n"
    return (
        f"POST {path} HTTP/1.1\r\nHost: {target.host_header}\r\nAccept: */*\r\n"
        f"Accept-Encoding: identity\r\nContent-Length: {len(request.body)}\r\n"
        f"{lines}\r\n"
    )


def shown_head(target: Target, request: Request, sent: str) -> str:
    """Return the head that may be shown and stored; that is the one `sent`, as a rule."""
    if request.private_headers or "?" in target.path:
        return request_head(target, request, hide_secrets=True)
    return sent


def response_of(raw: RawResponse) -> Response:
    """Return the response as text that PostgreSQL can store, whatever the receiver sent."""
    if raw.truncated:  # an incremental decoder omits a character whose last bytes are missing
        body = _utf8_decoder("replace").decode(raw.body)
    else:
        body = raw.body.decode("utf-8", "replace")
    return Response(
        status=raw.status,
        headers=_stored_headers(raw.headers[:MAX_HEADERS]),
        body=body.replace("\x00", "\ufffd"),
        truncated=raw.truncated,
    )


# Responses of one endpoint differ in little but the date, which changes once a second.
@lru_cache(HEADS_KEPT)
def _stored_headers(headers: tuple[tuple[bytes, bytes], ...]) -> tuple[tuple[str, str], ...]:
    stored: list[tuple[str, str]] = []
    room = MAX_HEADERS_LENGTH
    for raw_name, raw_value in headers:
        name, value = _storable(raw_name.lower()), _storable(raw_value)[:LONGEST_HEADER_VALUE]
        if len(name) + len(value) <= room:
            stored.append((name, value))
            room -= len(name) + len(value)
    return tuple(stored)


def _storable(text: bytes) -> str:
    """Header bytes as text without NUL or surrogates, read as UTF-8 or else as Latin-1."""
    try:
        return text.decode("utf-8").replace("\x00", "\ufffd")
    except UnicodeDecodeError:
        return text.decode("latin-1").replace("\x00", "\ufffd")
