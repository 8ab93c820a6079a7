"""
Email addresses: only those that every mail server accepts, in their ASCII form.

They are untrusted input: text longer than an address is refused before it is parsed.
"""

import re
from email.headerregistry import Address

from daemon.core.policy.international import to_ascii

LONGEST = 254  # RFC 5321, section 4.5.3.1.3, less the angle brackets
LONGEST_ENTERED = 320  # with a display name: what the database stores

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL = re.compile(rf"(?=.{{1,64}}$){_ATOM}(?:\.{_ATOM})*")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")

_TOO_LONG = "is not an email address: it is too long, or its name is not printable"


def parse_address(text: str) -> Address:
    """
    Parse `ops@example.com` or `Ops <ops@example.com>`; an international domain becomes ASCII.

    Raises ValueError, whose message does not quote the text, for anything else: lists, groups,
    and quoted or international local parts, which not every mail server accepts.
    """
    if len(text) > LONGEST_ENTERED:
        raise ValueError(_TOO_LONG)
    name, address = _name_and_address(text.strip())
    local, _, domain = address.rpartition("@")
    domain = to_ascii(domain) or ""
    if not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        raise ValueError("is not an email address such as ops@example.com")
    if len(local) + 1 + len(domain) > LONGEST or not name.isprintable():
        raise ValueError(_TOO_LONG)
    return Address(name, local, domain)


def _name_and_address(text: str) -> tuple[str, str]:
    """The parts of `Ops <ops@example.com>`, the name without quotes; else no name and `text`."""
    before, bracket, address = text.removesuffix(">").rpartition("<")
    name = before.strip().removesuffix('"').removeprefix('"').strip()
    if not bracket or not text.endswith(">") or set('<>"') & set(name):
        return "", text
    return name, address
