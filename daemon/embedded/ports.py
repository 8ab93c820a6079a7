"""A free TCP port for the server."""

import secrets
import socket

LOWEST = 10_240
EPHEMERAL_FROM = 32_768  # Linux's default start of the ports of outgoing connections


def free_port() -> int:
    """
    Return a free port below the range that the kernel gives to outgoing connections.

    Within that range, a client that connects to a server just restarting can by chance be connected
    to itself, and so occupy the port.
    """
    while True:
        port = LOWEST + secrets.randbelow(EPHEMERAL_FROM - LOWEST)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
