"""Requests as bytes, and answers as values that can be stored."""

import codecs

from daemon.core.model.attempts import Request, Response
from daemon.core.model.secrets import HIDDEN
from daemon.core.policy.urls import Target
from daemon.egress.http1 import RawAnswer

HEADERS_KEPT = 100


DECODER = codecs.getincrementaldecoder("utf-8")


HEADER_VALUE_KEPT = 2048


def wire_of(target: Target, request: Request) -> bytes:
    """The request's bytes; header names and values have been judged before they came here."""
    return head_of(target, request).encode("latin-1") + request.body


def head_of(target: Target, request: Request, *, open_to_all: bool = False) -> str:
    """Request line and headers, as sent; what is secret in them is hidden if `open_to_all`."""
    lines = [f"{name}: {value}\r\n" for name, value in request.headers]
    for name, value in request.private_headers:
        lines.append(f"{name}: {HIDDEN if open_to_all else value}\r\n")
    path = target.path
    if open_to_all and "?" in path:
        path = f"{path.partition('?')[0]}?…"
    return (
        f"POST {path} HTTP/1.1\r\nHost: {target.host_header}\r\nAccept: */*\r\n"
        f"Accept-Encoding: identity\r\nContent-Length: {len(request.body)}\r\n"
        f"{''.join(lines)}\r\n"
    )


def answer_of(raw: RawAnswer) -> Response:
    """The answer as text that PostgreSQL can store whatever the receiver sent."""
    decoder = DECODER("replace")
    return Response(
        status=raw.status,
        headers=tuple(
            (clean(name.lower()), clean(value)[:HEADER_VALUE_KEPT])
            for name, value in raw.headers[:HEADERS_KEPT]
        ),
        body=decoder.decode(raw.body, final=not raw.truncated).replace("\x00", "\ufffd"),
        truncated=raw.truncated,
    )


def clean(text: bytes) -> str:
    """Bytes of a head as text without NUL or surrogates; what is no UTF-8 is read as Latin-1."""
    try:
        return text.decode("utf-8").replace("\x00", "\ufffd")
    except UnicodeDecodeError:
        return text.decode("latin-1").replace("\x00", "\ufffd")
