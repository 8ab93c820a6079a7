"""
The kernel's main routing tables, as Linux shows them in /proc/net: the routes to addresses.

They tell what a route's mere existence does not: its interface, which may be down, and its gateway,
which may be dead.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

IPV4_ROUTES, IPV6_ROUTES = "/proc/net/route", "/proc/net/ipv6_route"
NEIGHBOURS = "/proc/net/arp"
# A router's million routes must not be read on the event loop.
MAX_CHARACTERS = 64 * 1024

RTF_UP, RTF_GATEWAY, RTF_REJECT = 0x1, 0x2, 0x200  # linux/route.h
INCOMPLETE = "0x0"  # the kernel has asked for the neighbour's hardware address, and got none


@dataclass(frozen=True, slots=True)
class TableRoute:
    """The table's route to a network: the lowest `metric` wins among equals."""

    network: IPv4Network | IPv6Network
    interface: str
    gateway: IPv4Address | None  # IPv6's neighbours are not shown, so their gateways do not matter
    metric: int
    rejects: bool


def table_route_to(ip: IPv4Address | IPv6Address) -> TableRoute | None:
    """Return the table's route to an address; None if it has none, or cannot be read."""
    routes = (
        _ipv4_routes(_read(IPV4_ROUTES)) if ip.version == 4 else _ipv6_routes(_read(IPV6_ROUTES))
    )
    return max(
        (route for route in routes if ip in route.network),
        key=lambda route: (route.network.prefixlen, -route.metric),
        default=None,
    )


def is_dead(gateway: IPv4Address) -> bool:
    """Whether the gateway does not answer on its link."""
    neighbours = (line.split() for line in _read(NEIGHBOURS)[1:])
    return any(
        fields[0] == str(gateway) and fields[2] == INCOMPLETE
        for fields in neighbours
        if len(fields) > 2
    )


def _read(path: str) -> list[str]:
    """Return the lines of a file; none if it is absent or too large."""
    try:
        with open(path, encoding="ascii") as file:
            text = file.read(MAX_CHARACTERS + 1)
    except OSError:
        return []
    return text.splitlines() if len(text) <= MAX_CHARACTERS else []


def _ipv4_routes(lines: list[str]) -> Iterator[TableRoute]:
    for line in lines[1:]:
        interface, destination, gateway, flags, _, _, metric, mask, *_ = line.split()
        bits = int(flags, 16)
        if bits & RTF_UP:
            yield TableRoute(
                IPv4Network((_ipv4(destination), str(_ipv4(mask)))),
                interface,
                _ipv4(gateway) if bits & RTF_GATEWAY else None,
                int(metric),
                rejects=bits & RTF_REJECT != 0,
            )


def _ipv6_routes(lines: list[str]) -> Iterator[TableRoute]:
    for line in lines:
        destination, length, _, _, _, metric, _, _, flags, interface = line.split()
        bits = int(flags, 16)
        # "Nothing has a route" is shown as a default route of loopback that is not up.
        if bits & RTF_UP:
            network = IPv6Network((int(destination, 16), int(length, 16)))
            yield TableRoute(
                network, interface, None, int(metric, 16), rejects=bits & RTF_REJECT != 0
            )


def _ipv4(written: str) -> IPv4Address:
    """Read an address that is written as a number in the machine's byte order."""
    return IPv4Address(struct.pack("=I", int(written, 16)))
