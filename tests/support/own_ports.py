"""
Ports for receivers: no test's receiver has a port that another process's daemon may still try.

The kernel soon gives a port again, and a daemon that another test runs may retry a delivery to the
receiver that had it before. So each process takes a block of ports for itself, above those that the
kernel gives, and uses them in turn.
"""

import itertools
import socket
from collections.abc import Iterator
from functools import cache

FIRST = 61_000  # Linux gives the ports below to connections and to servers without a port
BLOCK = 100
FIRST_OF_BLOCKS = range(FIRST, 2**16 - BLOCK, BLOCK)


def listening_socket(address: str) -> socket.socket:
    """Return a socket that is bound to a port of this process; any port if it has none left."""
    ports = _ports()
    for port in (*itertools.islice(ports, BLOCK - 1), 0):
        bound = _bound(address, port, reuse=True)
        if bound is not None:
            return bound
    raise OSError(f"no port of {address} is free")


@cache
def _ports() -> Iterator[int]:
    """Yield the ports of this process again and again."""
    for first in FIRST_OF_BLOCKS:
        guard = _bound("127.0.0.1", first, reuse=False)
        if guard is not None:
            _guards.append(guard)
            return itertools.cycle(range(first + 1, first + BLOCK))
    return itertools.repeat(0)


# They keep other processes from the blocks while this one runs.
_guards: list[socket.socket] = []


def _bound(address: str, port: int, *, reuse: bool) -> socket.socket | None:
    bound = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        bound.bind((address, port))
    except OSError:
        bound.close()
        return None
    return bound
