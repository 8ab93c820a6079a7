"""
Which database a URL means, for people: user, host, port and name, with the defaults filled in.

The rule: neither a password nor any other parameter of the URL is shown.
"""

import getpass
import os
from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

DEFAULT_PORT = "5432"


def database_name(url: str, environ: Mapping[str, str] = os.environ) -> str:
    """
    Return `postgresql://user@host:port/name`.

    Parts that the URL leaves out come from PGHOST, PGPORT, PGUSER and PGDATABASE, as for the
    connection.
    """
    parts = urlsplit(url)
    parameters = dict(parse_qsl(parts.query))
    user = _user(parts) or parameters.get("user") or environ.get("PGUSER") or getpass.getuser()
    name = unquote(parts.path.removeprefix("/")) or parameters.get("dbname")
    name = name or parameters.get("database") or environ.get("PGDATABASE") or user
    return f"postgresql://{user}@{_hosts(parts, parameters, environ)}/{name}"


def _user(parts: SplitResult) -> str:
    return unquote(parts.netloc.rpartition("@")[0].partition(":")[0])


def _hosts(parts: SplitResult, parameters: Mapping[str, str], environ: Mapping[str, str]) -> str:
    """Every host with its port, separated by commas; a folder of sockets is shown as it is."""
    given = parts.netloc.rpartition("@")[2] or parameters.get("host") or environ.get("PGHOST")
    hosts = unquote(given or "localhost").split(",")
    ports = (parameters.get("port") or environ.get("PGPORT") or DEFAULT_PORT).split(",")
    ports *= len(hosts) if len(ports) == 1 else 1
    return ",".join(
        host if _has_port(host) else f"{host}:{port}"
        for host, port in zip(hosts, ports, strict=False)
    )


def _has_port(host: str) -> bool:
    return ":" in host.rpartition("]")[2]
