"""
Ports of this process alone: of receivers, and of what is started later or never.

The kernel soon gives a port again, and a daemon that another test runs may retry a delivery to the
receiver that had it before. A port that was chosen at random may be another process's before it is
bound. So each process takes blocks of ports for itself, above those that the kernel gives, and uses
them in turn.
"""

import atexit
import itertools
import socket
from collections.abc import Iterator
from functools import cache

from daemon.embedded import ports

FIRST = 61_000  # Linux gives the ports below to connections and to servers without a port
BLOCK = 100
FIRST_OF_BLOCKS = range(FIRST, 2**16 - BLOCK, BLOCK)


def listening_socket(address: str) -> socket.socket:
    """Return a socket that is bound to a port of this process; any port if it has none left."""
    for port in (*itertools.islice(_ports("receivers"), BLOCK - 1), 0):
        bound = _bound(address, port, reuse=True)
        if bound is not None:
            return bound
    raise OSError(f"no port of {address} is free")


def free_port() -> int:
    """Return a port that nobody listens at, and that no other process of tests will take."""
    for port in itertools.islice(_ports("others"), BLOCK - 1):
        bound = _bound("127.0.0.1", port, reuse=True)
        if bound is not None:
            bound.close()
            return port
    return ports.free_port()


@cache
def _ports(block: str) -> Iterator[int]:
    """Yield the ports of a block of this process again and again: one block for each name."""
    for first in FIRST_OF_BLOCKS:
        guard = _bound("127.0.0.1", first, reuse=False)
        if guard is not None:
            atexit.register(guard.close)  # until then no other process takes the block
            return itertools.cycle(range(first + 1, first + BLOCK))
    return itertools.repeat(0)


def _bound(address: str, port: int, *, reuse: bool) -> socket.socket | None:
    bound = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        bound.bind((address, port))
    except OSError:
        bound.close()
        return None
    return bound
