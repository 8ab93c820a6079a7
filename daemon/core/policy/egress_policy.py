"""What the operator allows requests to reach: the `egress.*` settings as the rules use them."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """
    The operator's settings; the defaults allow https to public hosts only.

    `allow_networks` are allowed though not public, `deny_networks` are refused though public, and a
    refusal wins. `allow_hosts` and `deny_hosts` hold patterns as `hosts.host_pattern` returns them.
    `machine_names` are the names of this machine and of its hosts file, which are never called.
    `allow_ports` holds inclusive (low, high) pairs.
    """

    allow_http: bool = False
    allow_networks: tuple[IPNetwork, ...] = ()
    allow_ports: tuple[tuple[int, int], ...] = ((443, 443), (8443, 8443))
    deny_networks: tuple[IPNetwork, ...] = ()
    allow_hosts: frozenset[str] = frozenset()
    deny_hosts: frozenset[str] = frozenset()
    machine_names: frozenset[str] = frozenset()
