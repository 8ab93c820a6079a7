"""Requests as the bytes that are sent, and responses as values that can be stored."""

import codecs
from functools import lru_cache

from daemon.core.model.attempts import Request, Response
from daemon.core.model.secrets import HIDDEN
from daemon.core.policy.urls import Target
from daemon.egress.response_parser import storable
from daemon.egress.response_reader import RawResponse

HEADS_KEPT = 64  # of 64 KiB at most

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
        headers=_stored_headers(raw.headers),
        body=body.replace("\x00", "\ufffd"),
        truncated=raw.truncated,
    )


# Responses of one endpoint differ in little but the date, which changes once a second.
@lru_cache(HEADS_KEPT)
def _stored_headers(headers: tuple[tuple[bytes, bytes], ...]) -> tuple[tuple[str, str], ...]:
    return tuple((storable(name.lower()), storable(value)) for name, value in headers)
