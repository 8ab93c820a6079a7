"""
Whether a browser's connection is private: https, or plain http within this machine.

The daemon itself serves plain http; a trusted proxy in front of it says that a request came by
https.
"""

from ipaddress import ip_address

from aiohttp import web

from daemon.admin.api.client_address import TrustedProxies

LOOPBACK_NAMES = {"localhost"}


def is_https(request: web.Request, proxies: TrustedProxies) -> bool:
    """Whether a trusted proxy says that the browser connected by https."""
    return (
        _peer_is_trusted(request, proxies)
        and request.headers.get("X-Forwarded-Proto", "").strip().lower() == "https"
    )


def is_loopback(request: web.Request) -> bool:
    """Whether the browser runs on this machine, and called it by a loopback name."""
    if "X-Forwarded-For" in request.headers:
        return False
    return _is_loopback(request.remote) and _is_loopback(request.url.host)


def _is_loopback(host: str | None) -> bool:
    if host is None:
        return False
    if host.lower() in LOOPBACK_NAMES:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _peer_is_trusted(request: web.Request, proxies: TrustedProxies) -> bool:
    return request.remote is not None and ip_address(request.remote) in proxies
