"""The client of a request, as the audit records it."""

from aiohttp import web


def peer_of(request: web.Request) -> str | None:
    """The address of the other end of the connection; None if it is already closed."""
    return request.remote
