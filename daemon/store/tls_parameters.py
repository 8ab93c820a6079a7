"""
`sslrootcert=system` in a URL, as PostgreSQL's own programs understand it.

asyncpg would look for a file of that name.
"""

import ssl
from typing import NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

SYSTEM = "system"
VERIFY_FULL = "verify-full"


class ConnectParameters(NamedTuple):
    """The URL for asyncpg, and the context of its TLS; None leaves that to the URL."""

    dsn: str
    ssl: ssl.SSLContext | None


def connect_parameters(url: str) -> ConnectParameters:
    """
    Translate a URL, of which only `sslrootcert=system` is changed: the system's authorities.

    That implies `sslmode=verify-full`, and any weaker mode is refused, as libpq does: with
    ValueError.
    """
    parts = urlsplit(url)
    parameters = parse_qsl(parts.query, keep_blank_values=True)
    named = dict(parameters)
    if named.get("sslrootcert") != SYSTEM:
        return ConnectParameters(url, None)
    if named.get("sslmode", VERIFY_FULL) != VERIFY_FULL:
        raise ValueError("sslrootcert=system needs sslmode=verify-full")
    kept = [each for each in parameters if each[0] not in {"sslrootcert", "sslmode"}]
    context = ssl.create_default_context()
    context.set_alpn_protocols(["postgresql"])  # which sslnegotiation=direct needs
    if certificate := named.get("sslcert"):
        context.load_cert_chain(certificate, named.get("sslkey"))
    query = urlencode(kept, quote_via=quote)
    return ConnectParameters(parts._replace(query=query).geturl(), context)
