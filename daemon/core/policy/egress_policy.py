"""What the operator allows requests to reach: the `egress.*` settings as the rules use them."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """
    The operator's settings; the defaults allow https to public addresses only.

    `allow_networks` are allowed though not public. `allow_ports` holds inclusive (low, high) pairs.
    """

    allow_http: bool = False
    allow_networks: tuple[IPNetwork, ...] = ()
    allow_ports: tuple[tuple[int, int], ...] = ((443, 443), (8443, 8443))
