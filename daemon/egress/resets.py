"""
Ends TCP connections with a reset, which leaves no port in TIME_WAIT.

The side that closes a TCP connection first keeps its port for a minute, and there are only some
28,000 of them for all connections to one address and port: that of the egress proxy, or of a CDN.
"""

import socket
import struct
from contextlib import suppress
from typing import Any, Protocol

NO_LINGER = struct.pack("ii", 1, 0)


class Transport(Protocol):
    """An asyncio.Transport, or what passes for one."""

    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""

    def abort(self) -> None:
        """Close it at once, unsent bytes too."""

    def get_extra_info(self, name: str, default: object = None) -> Any:
        """Return the transport's `socket`."""


def reset(transport: Transport) -> None:
    """Close a transport at once, unsent bytes too."""
    if not transport.is_closing():  # else another socket may have the file descriptor already
        _reset_on_close(transport.get_extra_info("socket"))
    transport.abort()


def reset_socket(sock: socket.socket) -> None:
    """Close a socket at once that has no transport, or one that is closed."""
    with suppress(OSError):
        _reset_on_close(sock)
    sock.close()


def _reset_on_close(sock: Any) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
