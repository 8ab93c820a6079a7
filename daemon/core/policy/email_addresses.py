"""Email addresses: only those that every mail server accepts, in their ASCII form."""

import re
from email.headerregistry import Address

import idna

LONGEST = 254  # RFC 5321, section 4.5.3.1.3, less the angle brackets

_NAMED = re.compile(r'"?(?P<name>[^<>"]*?)"?\s*<(?P<address>[^<>]*)>')
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL = re.compile(rf"(?=.{{1,64}}$){_ATOM}(?:\.{_ATOM})*")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")


def parse_address(text: str) -> Address:
    """
    Parse `ops@example.com` or `Ops <ops@example.com>`; an international domain becomes ASCII.

    Raises ValueError, whose message does not quote the text, for anything else: lists, groups,
    and quoted or international local parts, which not every mail server accepts.
    """
    named = _NAMED.fullmatch(text.strip())
    name, address = (named["name"].strip(), named["address"]) if named else ("", text.strip())
    local, _, domain = address.rpartition("@")
    domain = _to_ascii(domain)
    if not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        raise ValueError("is not an email address such as ops@example.com")
    if len(local) + 1 + len(domain) > LONGEST or not name.isprintable():
        raise ValueError("is not an email address: it is too long, or its name is not printable")
    return Address(name, local, domain)


def _to_ascii(domain: str) -> str:
    """The domain in ASCII, or an empty string, which is not a domain, if it has no such form."""
    try:
        return domain if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        return ""
