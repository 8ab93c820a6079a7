"""
The host of a URL: a domain name in its ASCII form, or an IP address in its plain spelling.

Every other spelling of an address is refused, because some resolver, proxy or library would read it
as an address that was never judged.
"""

import re
import unicodedata
from ipaddress import IPv4Address, IPv6Address, ip_address

from daemon.core.policy.addresses import judge_literal
from daemon.core.policy.egress_policy import EgressPolicy
from daemon.core.policy.international import LONGEST_NAME, to_ascii
from daemon.core.policy.names import judge_name, normal_name
from daemon.core.policy.refusal import Refusal

LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
DECIMAL_OCTET = r"(?:0|[1-9][0-9]{0,2})"
DOTTED_QUAD = re.compile(rf"{DECIMAL_OCTET}(?:\.{DECIMAL_OCTET}){{3}}")
# WHATWG URL's "ends in a number": other programs read such a host as an IPv4 address.
ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")

INVALID_NAME = Refusal("the URL's host is not a valid domain name")
INVALID_ADDRESS = Refusal("the URL's host is not a valid IP address")


def judge_host(host: str, policy: EgressPolicy) -> str | Refusal:
    """
    Return the host in lower-case ASCII, without brackets or final dot, or why it may not be called.

    The addresses of a name are judged when it is resolved.
    """
    if host.startswith("["):
        return _judge_literal(host[1:-1], policy, expected=IPv6Address)
    if DOTTED_QUAD.fullmatch(host):
        return _judge_literal(host, policy, expected=IPv4Address)
    name = domain_name(host)
    if isinstance(name, Refusal):
        return name
    return judge_name(name, policy) or name


def host_pattern(text: str) -> str | Refusal:
    """
    Return a domain name in the form of `domain_name`, or `*.` and such a name.

    The latter stands for the names below that name, at any depth, and not for the name itself.
    """
    parent = text.removeprefix("*.")
    name = domain_name(parent)
    if isinstance(name, Refusal):
        return name
    return name if parent == text else f"*.{name}"


def domain_name(text: str) -> str | Refusal:
    """Return a domain name in lower-case ASCII and without its final dot, or why it is none."""
    if len(text) > LONGEST_NAME + 1:  # a final dot is accepted
        return INVALID_NAME
    if "%" in text:
        return Refusal("the URL's host must not be percent-encoded; write it in plain characters")
    name = _to_ascii(text)
    if isinstance(name, Refusal):
        return name
    name = normal_name(name)
    if ENDS_IN_NUMBER.fullmatch(name):
        return Refusal("an IPv4 address must be written as four decimal numbers")
    if len(name) > LONGEST_NAME or not all(map(LABEL.fullmatch, name.split("."))):
        return INVALID_NAME
    return name


def _to_ascii(host: str) -> str | Refusal:
    if host.isascii():
        return host
    # Such look-alikes would let a name become an address after it was judged.
    if any(
        set(unicodedata.normalize("NFKC", c)) & set("0123456789.。") for c in host if ord(c) > 127
    ):
        return Refusal("the URL's host must have its digits and dots in ASCII, not look-alikes")
    return to_ascii(host) or INVALID_NAME


def _judge_literal(text: str, policy: EgressPolicy, *, expected: type) -> str | Refusal:
    try:
        ip = ip_address(text)
    except ValueError:
        return INVALID_ADDRESS
    if not isinstance(ip, expected) or "%" in text:
        return INVALID_ADDRESS
    return judge_literal(ip, policy) or str(ip)
