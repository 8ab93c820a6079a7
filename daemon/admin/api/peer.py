"""The client of a request, as the audit records it."""

from aiohttp import web

from daemon.admin.api.client_address import TrustedProxies


def peer_of(request: web.Request, *, proxies: TrustedProxies) -> str | None:
    """The client's address, as far as it can be believed; None if the connection has none."""
    client = proxies.client_of(request.remote, request.headers.getall("X-Forwarded-For", ()))
    return None if client is None else str(client)
