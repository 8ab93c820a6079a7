"""
Which IP addresses may be connected to: public ones, and the operator's `egress.allow_networks`.

An address is judged at every connect, and the connection goes to that same address, so a name that
resolves differently a moment later gains nothing.
"""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from daemon.core.policy.egress_policy import EgressPolicy, IPAddress, IPNetwork
from daemon.core.policy.refusal import Refusal

# IANA's IPv4 special-purpose registry, multicast, the reserved class E, the deprecated 6to4
# anycast, and the address at which Azure's hosts serve their guests.
FORBIDDEN_V4 = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)

# Prefixes whose last 32 bits are the IPv4 address that a packet really reaches.
TRANSLATED_V6 = tuple(
    IPv6Network(block) for block in ("::ffff:0:0/96", "::/96", "::ffff:0:0:0/96", "64:ff9b::/96")
)
SIX_TO_FOUR = IPv6Network("2002::/16")
TEREDO = IPv6Network("2001::/32")

# Global unicast is 2000::/3; every other block is refused without being named.
GLOBAL_V6 = IPv6Network("2000::/3")
FORBIDDEN_V6 = (
    IPv6Network("::/127"),  # unspecified and loopback, which do not stand for an IPv4 address
    *IPv6Network("2001::/23").address_exclude(TEREDO),
    IPv6Network("2001:db8::/32"),
    IPv6Network("2620:4f:8000::/48"),
    IPv6Network("3ffe::/16"),  # the 6bone, returned to IANA (RFC 3701)
    IPv6Network("3fff::/20"),
)

NOT_PUBLIC = Refusal("the host's address is not public; use a host on the public internet")
DENIED = Refusal("the egress rules of this service forbid this host")


def judge_address(address: str, policy: EgressPolicy) -> Refusal | None:
    """Return why `address`, as `socket` prints it, may not be connected to; None if it may."""
    try:
        ip = ip_address(address)
    except ValueError:
        return NOT_PUBLIC
    if isinstance(ip, IPv6Address) and ip.scope_id is not None:
        return NOT_PUBLIC
    if _is_denied(ip, policy.deny_networks):
        return DENIED
    if _is_in(ip, policy.allow_networks) or _is_public(ip, policy.allow_networks):
        return None
    return NOT_PUBLIC


def judge_literal(ip: IPAddress, policy: EgressPolicy) -> Refusal | None:
    """
    Return why `ip` may not be written in a URL; None if it may.

    Name servers of networks without IPv4 synthesize IPv6 addresses that contain one (RFC 6147). In
    a URL they are but another spelling, which other programs may read as an address not judged.
    """
    refusal = judge_address(str(ip), policy)
    if refusal is None and _stands_for_v4(ip) and not _is_in(ip, policy.allow_networks):
        return Refusal("an IPv4 address must not be written as an IPv6 address")
    return refusal


def _is_denied(ip: IPAddress, denied: Sequence[IPNetwork]) -> bool:
    """Whether `ip`, or an IPv4 address embedded in it, is in a denied network."""
    embedded = _embedded(ip) if isinstance(ip, IPv6Address) else ()
    return any(_is_in(each, denied) for each in (ip, *embedded))


def _stands_for_v4(ip: IPAddress) -> bool:
    return any(ip in block for block in (*TRANSLATED_V6, SIX_TO_FOUR, TEREDO))


def _is_in(ip: IPAddress, networks: Sequence[IPNetwork]) -> bool:
    return any(ip in network for network in networks if network.version == ip.version)


def _is_public(ip: IPAddress, allowed: Sequence[IPNetwork]) -> bool:
    """Whether `ip`, and every IPv4 address embedded in it, is public or in an allowed network."""
    if isinstance(ip, IPv4Address):
        return not any(ip in block for block in FORBIDDEN_V4)
    return (
        (ip in GLOBAL_V6 or any(ip in block for block in TRANSLATED_V6))
        and not any(ip in block for block in FORBIDDEN_V6)
        and all(_is_in(v4, allowed) or _is_public(v4, allowed) for v4 in _embedded(ip))
    )


def _embedded(ip: IPv6Address) -> Iterator[IPv4Address]:
    """Yield the IPv4 addresses that a packet to `ip` may reach through a translator or tunnel."""
    number = int(ip)
    low = IPv4Address(number & 0xFFFFFFFF)
    if any(ip in block for block in TRANSLATED_V6):
        yield low
    if ip in SIX_TO_FOUR:
        yield IPv4Address(number >> 80 & 0xFFFFFFFF)
    if ip in TEREDO:  # RFC 4380: the server's address, and the client's with its bits flipped
        yield IPv4Address(number >> 64 & 0xFFFFFFFF)
        yield IPv4Address(~number & 0xFFFFFFFF)
    if number >> 32 & 0xFDFFFFFF == 0x00005EFE:  # RFC 5214: ISATAP, in any prefix
        yield low
