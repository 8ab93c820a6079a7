"""
The origin of a URL: scheme, host and port, in one spelling (RFC 6454, section 4).

Secret headers and client certificates belong to an origin. What a URL may call is decided elsewhere
(see `urls`): an origin says only whether two URLs lead to the same receiver.
"""

from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address

from daemon.core.policy.international import to_ascii
from daemon.core.policy.urls import LONGEST_URL, URL_PARTS

DEFAULT_PORTS = {"https": "443", "http": "80"}


def origin_of(url: str) -> str:
    """Return the origin, such as `https://example.com:443`; empty for a URL that has none."""
    return _origin_of(url) if len(url) <= LONGEST_URL else ""


def is_same_origin(url: str, other_url: str) -> bool:
    """Return whether both URLs have an origin, and the same one."""
    return origin_of(url) == origin_of(other_url) != ""


@lru_cache(1024)
def _origin_of(url: str) -> str:
    parts = URL_PARTS.fullmatch(url)
    if parts is None:
        return ""
    scheme = parts["scheme"].lower()
    host = _canonical_host(parts["host"])
    port = DEFAULT_PORTS[scheme] if parts["port"] is None else parts["port"]
    if not host or not (port.isascii() and port.isdigit()):
        return ""
    return f"{scheme}://{host}:{int(port)}"


def _canonical_host(host: str) -> str:
    """Return the host in lower-case ASCII without a final dot; empty if it has no such form."""
    try:
        if host.startswith("["):
            return f"[{IPv6Address(host[1:-1])}]"
    except AddressValueError:
        return ""
    return (to_ascii(host) or "").lower().removesuffix(".")
