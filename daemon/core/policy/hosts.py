"""
The host of a URL: a domain name in its ASCII form, or an IP address in its plain spelling.

Every other spelling of an address is refused, because some resolver, proxy or library would read it
as an address that was never judged.
"""

import re
import unicodedata
from ipaddress import IPv4Address, IPv6Address, ip_address

import idna

from daemon.core.policy.addresses import judge_address
from daemon.core.policy.egress_policy import EgressPolicy
from daemon.core.policy.refusal import Refusal

LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
LONGEST_NAME = 253  # RFC 1035, section 2.3.4, in its printed form
DECIMAL_OCTET = r"(?:0|[1-9][0-9]{0,2})"
DOTTED_QUAD = re.compile(rf"{DECIMAL_OCTET}(?:\.{DECIMAL_OCTET}){{3}}")
# WHATWG URL's "ends in a number": other programs read such a host as an IPv4 address.
ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
# RFC 6761, section 6.3: this machine itself, whatever a resolver says.
LOCALHOST = re.compile(r"(?:.*\.)?localhost")

INVALID_NAME = Refusal("the URL's host is not a valid domain name")
INVALID_ADDRESS = Refusal("the URL's host is not a valid IP address")


def judge_host(host: str, policy: EgressPolicy) -> str | Refusal:
    """
    Return the host in lower-case ASCII and without brackets, or why it may not be called.

    IP addresses and localhost are judged here, other names when they are resolved.
    """
    if host.startswith("["):
        return _judge_literal(host[1:-1], policy, expected=IPv6Address)
    if "%" in host:
        return Refusal("the URL's host must not be percent-encoded; write it in plain characters")
    name = _to_ascii(host)
    if isinstance(name, Refusal):
        return name
    if ENDS_IN_NUMBER.fullmatch(name):
        if DOTTED_QUAD.fullmatch(host):
            return _judge_literal(name, policy, expected=IPv4Address)
        return Refusal("an IPv4 address must be written as four decimal numbers")
    if len(name) > LONGEST_NAME or not all(map(LABEL.fullmatch, name.split("."))):
        return INVALID_NAME
    if LOCALHOST.fullmatch(name):
        return judge_address("127.0.0.1", policy) or name
    return name


def _to_ascii(host: str) -> str | Refusal:
    if host.isascii():
        return host.lower()
    # Such look-alikes would let a name become an address after it was judged.
    if any(
        set(unicodedata.normalize("NFKC", c)) & set("0123456789.。") for c in host if ord(c) > 127
    ):
        return Refusal("the URL's host must have its digits and dots in ASCII, not look-alikes")
    try:
        return idna.encode(host, uts46=True).decode().lower()
    except (idna.IDNAError, UnicodeError):
        return INVALID_NAME


def _judge_literal(text: str, policy: EgressPolicy, *, expected: type) -> str | Refusal:
    try:
        ip = ip_address(text)
    except ValueError:
        return INVALID_ADDRESS
    if not isinstance(ip, expected) or "%" in text:
        return INVALID_ADDRESS
    return judge_address(str(ip), policy) or str(ip)
