"""The client of a request: as the audit records it, and as limits count it."""

from aiohttp import web

from daemon.admin.api.client_address import Address, Network, TrustedProxies, network_of


def peer_of(request: web.Request, *, proxies: TrustedProxies) -> str | None:
    """The client's address, as far as it can be believed; None if the connection has none."""
    client = _client_of(request, proxies)
    return None if client is None else str(client)


def client_network(request: web.Request, proxies: TrustedProxies) -> Network | None:
    """The network that counts as one client; None if the connection has no address."""
    client = _client_of(request, proxies)
    return None if client is None else network_of(client)


def _client_of(request: web.Request, proxies: TrustedProxies) -> Address | None:
    return proxies.client_of(request.remote, request.headers.getall("X-Forwarded-For", ()))
