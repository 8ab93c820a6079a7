"""
The address of a request's client.

Only proxies in `admin.trusted_proxies` are believed when they name a client in X-Forwarded-For:
anyone else could write any address.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_PROXIES = 16  # of a request, one behind the other


class TrustedProxies:
    """The networks whose proxies are believed."""

    def __init__(self, networks: Sequence[Network] = ()) -> None:
        self._networks = networks

    def __contains__(self, address: object) -> bool:
        return any(address in network for network in self._networks)

    def client_of(self, peer: str | None, forwarded_for: Sequence[str]) -> Address | None:
        """
        The address nearest to the client that can be believed.

        `peer` is the other end of the connection, `forwarded_for` the values of X-Forwarded-For.
        The client is the last address that is not a trusted proxy's. The peer itself counts as the
        client if it is not trusted, or if an address on the way is malformed. None if `peer` is.
        """
        if peer is None:
            return None
        client = own = _unmapped(ip_address(peer))
        if own not in self or not forwarded_for:
            return own
        try:
            # From the right, because a client can put any text on the left.
            for text in reversed(",".join(forwarded_for).rsplit(",", MAX_PROXIES)):
                client = _forwarded_address(text.strip())
                if client not in self:
                    break
        except ValueError:
            return own
        return client


def network_of(address: Address) -> Network:
    """The network that counts as one client: an IPv4 address, or the /64 of an IPv6 address."""
    address = _unmapped(address)
    if address.version == 4:
        return IPv4Network(address)
    return IPv6Network((int(address) >> 64 << 64, 64))


def _unmapped(address: Address) -> Address:
    """An IPv4 address for one that is mapped into IPv6, as a socket for both families shows it."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _forwarded_address(text: str) -> Address:
    """Read an address, with or without a port. Raises ValueError."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    return _unmapped(ip_address(text))
