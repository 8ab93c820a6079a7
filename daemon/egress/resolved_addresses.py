"""
The addresses of a host that may be connected to.

A host of which any address is forbidden is refused as a whole, with the same error as a name that
does not exist. The addresses returned here are the ones that are connected to: the name is not
looked up a second time.
"""

import contextlib
import socket
from collections.abc import Sequence

from daemon.core.policy.addresses import judge_address
from daemon.core.policy.egress_policy import EgressPolicy
from daemon.core.policy.names import is_localhost, loopback_addresses
from daemon.egress.resolver import NameLookup, NoPublicAddressError

AddressInfo = tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int]]


async def permitted_addresses(
    host: str, policy: EgressPolicy, *, resolver: NameLookup
) -> list[str]:
    """
    Resolve `host`, which the policy has permitted, and judge every address.

    Raises NoPublicAddressError when there are none or any of them is forbidden, and otherwise
    LookupFailedError and PostponedError as the resolver does.
    """
    if is_localhost(host):
        return loopback_addresses(policy)
    addresses = await addresses_of(host, resolver)
    if not addresses or any(judge_address(address, policy) for address in addresses):
        raise NoPublicAddressError
    return addresses


async def addresses_of(host: str, resolver: NameLookup) -> list[str]:
    """
    Return `host` itself if it is an address, else its addresses, which nothing has judged.

    Raises LookupFailedError and PostponedError as the resolver does.
    """
    return [host] if is_address(host) else await resolver.addresses(host)


def first_of_each_family(addresses: Sequence[str], most: int) -> list[str]:
    """Return up to `most` IPv6 and as many IPv4 addresses, the first ones, in their order."""
    left = {True: most, False: most}
    first: list[str] = []
    for address in addresses:
        is_ipv6 = ":" in address
        if left[is_ipv6] > 0:
            left[is_ipv6] -= 1
            first.append(address)
    return first


def address_info(address: str, port: int) -> AddressInfo:
    """Return the address of a TCP connection in the form of `socket.getaddrinfo`."""
    if ":" in address:
        return (socket.AF_INET6, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port, 0, 0))
    return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))


def is_address(host: str) -> bool:
    """Whether a host is an address, and no name."""
    if ":" in host:
        return True
    with contextlib.suppress(OSError):
        return bool(socket.inet_aton(host))
    return False
