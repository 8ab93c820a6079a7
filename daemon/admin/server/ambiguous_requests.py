"""
Refuses requests that a proxy in front of the daemon could read differently.

aiohttp's parser already refuses a missing or repeated Host, and a repeated, contradictory or
malformed Content-Length or Transfer-Encoding. This adds what it lets through.
"""

from urllib.parse import urlsplit

from aiohttp import HttpVersion10, HttpVersion11, web
from aiohttp.typedefs import Handler

from daemon.admin.api.problems import Problem

# The headers that decide who the caller is, and for which tenant the request is.
SINGLE_HEADERS = ("Authorization", "X-Tenant-ID")
DEFAULT_PORTS = {"http": 80, "https": 443}


@web.middleware
async def refuse_ambiguous(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer 400 to an ambiguous request, and close its connection."""
    try:
        _check_repetition(request)
        _check_target(request)
        _check_framing(request)
    except Problem as problem:
        response = problem.response()
        response.force_close()
        return response
    return await handler(request)


def _check_repetition(request: web.Request) -> None:
    for name in SINGLE_HEADERS:
        if len(request.headers.getall(name, ())) > 1:
            raise Problem(400, f"the header {name} is sent more than once")


def _check_target(request: web.Request) -> None:
    """Check a target in absolute form, whose host takes precedence over Host (RFC 9112, 3.2.2)."""
    if request.raw_path.startswith("/"):
        return
    target = urlsplit(request.raw_path)
    port = DEFAULT_PORTS.get(target.scheme)
    if not target.netloc and port is None:  # `*` of OPTIONS, or the `host:port` of CONNECT
        return
    host = request.headers.get("Host", "")
    if port is None or _with_port(target.netloc, port) != _with_port(host, port):
        raise Problem(400, "the request's target names another host than the Host header")


def _with_port(authority: str, default_port: int) -> str:
    has_port = authority.rpartition(":")[2].isdecimal()
    return authority.lower() if has_port else f"{authority.lower()}:{default_port}"


def _check_framing(request: web.Request) -> None:
    if request.version < HttpVersion10:
        raise Problem(400, "the request names no version of HTTP from 1.0 on")
    coding = request.headers.get("Transfer-Encoding")
    if coding is None:
        return
    if coding.lower() != "chunked" or request.version < HttpVersion11:
        raise Problem(400, "the only supported Transfer-Encoding is chunked, in HTTP/1.1")
