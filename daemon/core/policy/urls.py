"""
May this URL, this address be called: the rule that keeps a customer's URL to the public internet.

A URL is judged when it is saved and again before every attempt; an address is judged at every
connect, and the judged address is the very one that is connected to.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import quote

import idna

from daemon.core.policy.refusal import Refusal

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

LONGEST_URL = 2048

# IANA's IPv4 special-purpose registry, multicast, the reserved class E, the dead 6to4 anycast,
# and the address under which Azure's hosts serve their guests.
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

# Prefixes whose last 32 bits are the IPv4 address that is really reached.
TRANSLATED_V6 = tuple(
    IPv6Network(block) for block in ("::ffff:0:0/96", "::/96", "::ffff:0:0:0/96", "64:ff9b::/96")
)
SIX_TO_FOUR = IPv6Network("2002::/16")
TEREDO = IPv6Network("2001::/32")

# Global unicast is 2000::/3; whatever else lies elsewhere is refused without being named.
GLOBAL_V6 = IPv6Network("2000::/3")
FORBIDDEN_V6 = (
    IPv6Network("::/127"),  # unspecified and loopback, which are no IPv4 address in disguise
    *IPv6Network("2001::/23").address_exclude(TEREDO),
    IPv6Network("2001:db8::/32"),
    IPv6Network("2620:4f:8000::/48"),
    IPv6Network("3fff::/20"),
)

URL_SHAPE = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[^\[\]/?#]*\]|[^\[\]/?#:]*)(?::(?P<port>[^/?#]*))?"
    r"(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?(?:#.*)?",
    re.IGNORECASE | re.ASCII,  # else a Unicode look-alike passes for the s of https
)
LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
DECIMAL_OCTET = r"(?:0|[1-9][0-9]{0,2})"
DOTTED_QUAD = re.compile(rf"{DECIMAL_OCTET}(?:\.{DECIMAL_OCTET}){{3}}")
# WHATWG's "ends in a number": other programs read such a host as an IPv4 address.
ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
# RFC 6761, section 6.3: the machine itself, whatever a resolver says.
LOCALHOST = re.compile(r"(?:.*\.)?localhost")
PATH_SAFE = "/!$&'()*+,;=:@%-._~?[]|^`{}\""


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """What the operator allows; `allow_ports` holds inclusive (low, high) pairs."""

    allow_http: bool = False
    allow_networks: tuple[IPNetwork, ...] = ()
    allow_ports: tuple[tuple[int, int], ...] = ((443, 443), (8443, 8443))


@dataclass(frozen=True, slots=True)
class Target:
    """
    A URL that may be called, taken apart for the wire.

    `host` is ASCII (IDNA applied, no brackets), `host_header` as it stands in `Host`,
    `path` is what follows the method in the request line.
    """

    tls: bool
    host: str
    port: int
    host_header: str
    path: str


def judge_url(url: str, policy: EgressPolicy) -> Target | Refusal:
    """Whether `url` may be called as far as its text tells; its addresses are judged at connect."""
    if len(url) > LONGEST_URL:
        return Refusal(f"the URL is longer than {LONGEST_URL} characters")
    if any(
        c <= " " or c in "\\\x7f" or c.isspace() or unicodedata.category(c) in {"Cc", "Cs"}
        for c in url
    ):
        return Refusal("the URL contains white space, a backslash or a control character")
    shape = URL_SHAPE.fullmatch(url)
    if shape is None:
        return Refusal("the URL is not of the form https://host/path")
    tls = shape["scheme"].lower() == "https"
    if not tls and not policy.allow_http:
        return Refusal("the URL must begin with https://")
    if "@" in shape["host"] or "@" in (shape["port"] or ""):
        return Refusal("the URL must not carry a user name or password")
    port = _port(shape["port"], default=443 if tls else 80)
    if isinstance(port, Refusal):
        return port
    if not any(low <= port <= high for low, high in policy.allow_ports):
        return Refusal(f"port {port} is not allowed")
    host = _host(shape["host"], policy)
    if isinstance(host, Refusal):
        return host
    shown = f"[{host}]" if ":" in host else host
    return Target(
        tls=tls,
        host=host,
        port=port,
        host_header=shown if port == (443 if tls else 80) else f"{shown}:{port}",
        path=quote((shape["path"] or "/") + (shape["query"] or ""), safe=PATH_SAFE),
    )


def judge_address(address: str, policy: EgressPolicy) -> Refusal | None:
    """Whether this very address may be connected to; `address` is as `socket` prints it."""
    try:
        ip = ip_address(address)
    except ValueError:
        return Refusal("the host has no usable address")
    if isinstance(ip, IPv6Address) and ip.scope_id is not None:
        return Refusal("the host's address is not public")
    if _allowed(ip, policy.allow_networks) or _is_public(ip, policy.allow_networks):
        return None
    return Refusal("the host's address is not public")


def _port(text: str | None, *, default: int) -> int | Refusal:
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 65536:
        return Refusal("the URL's port is not a number from 1 to 65535")
    return int(text)


def _host(raw: str, policy: EgressPolicy) -> str | Refusal:
    if raw.startswith("["):
        return _literal(raw[1:-1], policy, wanted=IPv6Address)
    if "%" in raw:
        return Refusal("the URL's host must not be percent-encoded")
    host = _ascii(raw)
    if isinstance(host, Refusal):
        return host
    if ENDS_IN_NUMBER.fullmatch(host):
        if DOTTED_QUAD.fullmatch(raw):
            return _literal(host, policy, wanted=IPv4Address)
        return Refusal("an IPv4 address must be written as four decimal numbers")
    if len(host) > 253 or not all(LABEL.fullmatch(label) for label in host.split(".")):
        return Refusal("the URL's host is not a valid name")
    if LOCALHOST.fullmatch(host):
        return judge_address("127.0.0.1", policy) or host
    return host


def _ascii(raw: str) -> str | Refusal:
    if raw.isascii():
        return raw.lower()
    # Look-alikes of digits and dots would let a name turn into an address behind our back.
    if any(
        set(unicodedata.normalize("NFKC", c)) & set("0123456789.。") for c in raw if ord(c) > 127
    ):
        return Refusal("the URL's host contains look-alikes of digits or dots")
    try:
        return idna.encode(raw, uts46=True).decode().lower()
    except (idna.IDNAError, UnicodeError):
        return Refusal("the URL's host is not a valid name")


def _literal(text: str, policy: EgressPolicy, *, wanted: type) -> str | Refusal:
    try:
        ip = ip_address(text)
    except ValueError:
        return Refusal("the URL's host is not a valid address")
    if not isinstance(ip, wanted) or "%" in text:
        return Refusal("the URL's host is not a valid address")
    return judge_address(str(ip), policy) or str(ip)


def _allowed(ip: IPAddress, networks: Sequence[IPNetwork]) -> bool:
    return any(ip in network for network in networks if network.version == ip.version)


def _is_public(ip: IPAddress, allowed: Sequence[IPNetwork]) -> bool:
    if isinstance(ip, IPv4Address):
        return not any(ip in block for block in FORBIDDEN_V4)
    return (
        (ip in GLOBAL_V6 or any(ip in block for block in TRANSLATED_V6))
        and not any(ip in block for block in FORBIDDEN_V6)
        and all(_allowed(v4, allowed) or _is_public(v4, allowed) for v4 in _embedded(ip))
    )


def _embedded(ip: IPv6Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses that a packet to `ip` may reach through a translator or tunnel."""
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
