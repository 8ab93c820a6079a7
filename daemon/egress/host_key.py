"""One key for the addresses of a host, by which webhooks at the same host are known."""

from collections.abc import Iterable
from ipaddress import IPv6Network


def host_key(addresses: Iterable[str]) -> str | None:
    """
    The lowest address, whatever the order of the name server's reply; None without addresses.

    For IPv6 it is the network of 64 bits: a single machine has one for itself.
    """
    lowest = min(addresses, key=lambda address: (":" in address, address), default=None)
    if lowest is None or ":" not in lowest:
        return lowest
    return str(IPv6Network((lowest, 64), strict=False))
