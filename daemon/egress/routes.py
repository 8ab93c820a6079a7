"""
Whether this machine has a working route to an address, found out without sending anything.

Rule: a route works if the kernel has one, its interface is up with a carrier, and its gateway is
not known to be dead. What cannot be found out counts as working, and so excuses nothing.
"""

import errno
import fcntl
import socket
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

from daemon.core.outcomes.network_faults import Route
from daemon.egress.routing_table import TableRoute, is_dead, table_route_to

# linux/sockios.h and if.h
SIOCGIFFLAGS = 0x8913
IFF_UP, IFF_RUNNING = 0x1, 0x40
INTERFACE_FLAGS = struct.Struct("=16sH14x")

SocketAddress = tuple[str, int]  # an IP address and a port

# An address that a default route leads to. It is only looked up in the routing table.
SOMEWHERE: dict[str, IPv4Address | IPv6Address] = {
    "IPv4": IPv4Address("198.41.0.4"),
    "IPv6": IPv6Address("2001:503:ba3e::2:30"),
}


def route_to(destination: SocketAddress) -> Route:
    """Return the route to a destination that may be connected to."""
    address, port = destination
    ip = _unmapped(address)
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    try:
        sock = socket.socket(family, socket.SOCK_DGRAM)
    except OSError as error:
        return Route.NONE if error.errno == errno.EAFNOSUPPORT else Route.REMOTE
    with sock:
        try:
            sock.connect((str(ip), port))  # of a datagram socket: it only looks up the route
        except OSError:
            return Route.NONE
        source = sock.getsockname()[0]
    if ip.is_loopback or source == str(ip):
        return Route.LOCAL if _is_running("lo") else Route.NONE
    route = table_route_to(ip)
    return Route.REMOTE if route is None or _works(route) else Route.NONE


def default_route(family: str) -> Route:
    """Return REMOTE if the routing table leads from here to the internet, NONE if not."""
    route = table_route_to(SOMEWHERE[family])
    return Route.REMOTE if route is not None and _works(route) else Route.NONE


def _works(route: TableRoute) -> bool:
    if route.rejects or not _is_running(route.interface):
        return False
    return route.gateway is None or not is_dead(route.gateway)


def _is_running(interface: str) -> bool:
    """Whether the interface is up and has a carrier."""
    request = INTERFACE_FLAGS.pack(interface.encode(), 0)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            flags: int = INTERFACE_FLAGS.unpack(fcntl.ioctl(sock, SIOCGIFFLAGS, request))[1]
    except OSError as error:
        return error.errno != errno.ENODEV
    return flags & IFF_UP != 0 and flags & IFF_RUNNING != 0


def _unmapped(address: str) -> IPv4Address | IPv6Address:
    ip = ip_address(address)
    return (ip.version == 6 and ip.ipv4_mapped) or ip
