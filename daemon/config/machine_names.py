"""
The names by which this machine and its hosts file know hosts: no customer has a receiver there.

They are read once, at the start. Nothing depends on their being complete: customers' names are
looked up in DNS alone, and every address is judged.
"""

import socket
from collections.abc import Iterator
from pathlib import Path

from daemon.core.policy.names import normal_name

HOSTS_FILE = Path("/etc/hosts")
RESOLVER_FILE = Path("/etc/resolv.conf")


def machine_names(
    hosts_file: Path = HOSTS_FILE, resolver_file: Path = RESOLVER_FILE
) -> frozenset[str]:
    """Return the host name, alone and in the local domain, and every name of the hosts file."""
    own, domain = socket.gethostname(), _local_domain(resolver_file)
    names = [own, f"{own}.{domain}"] if domain else [own]
    for _, *of_address in _fields(hosts_file):
        names += of_address
    return frozenset(map(normal_name, names))


def _local_domain(resolver_file: Path) -> str:
    """Return the first domain of the search list, or an empty text. (resolv.conf(5): `search`.)"""
    domain = ""
    for keyword, *values in _fields(resolver_file):
        if keyword in {"domain", "search"} and values:
            domain = values[0]
    return domain


def _fields(path: Path) -> Iterator[list[str]]:
    """Yield the words of each line without comments; nothing if the file cannot be read."""
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        words = line.partition("#")[0].split()
        if words and not words[0].startswith(";"):
            yield words
