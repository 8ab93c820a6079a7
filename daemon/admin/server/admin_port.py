"""
The admin port of one daemon: it listens for the daemon's whole life, whatever is served there.

The rule: no connection is refused while what is served is replaced, by a reload for example. With
sockets that systemd has passed, not even while the daemon is replaced: they stay open there.
"""

import asyncio
import socket
from collections.abc import Sequence

from aiohttp import web

from daemon.admin.api.client_address import TrustedProxies
from daemon.admin.server.serve import serve
from daemon.core.errors import ListenError

INTERNET = (socket.AF_INET, socket.AF_INET6)


class AdminPort:
    """The listening sockets: those in `passed`, or else its own on `host` and `port`."""

    def __init__(self, host: str, port: int, *, passed: Sequence[socket.socket] = ()) -> None:
        self._host = host
        self._port = port
        self._sockets = list(passed)

    async def serve(
        self, app: web.Application, *, proxies: TrustedProxies
    ) -> tuple[web.AppRunner, int]:
        """
        Serve `app`, until the caller cleans up the runner that this returns beside the port.

        Raises ListenError.
        """
        if not self._sockets:
            self._sockets = await _listen(self._host, self._port)
        for each in self._sockets:
            if each.family not in INTERNET or each.type != socket.SOCK_STREAM:
                raise ListenError("the socket that systemd passed is not one of TCP: ListenStream=")
        # The server closes its copies; connections that come in between wait in the queue.
        runner = await serve(app, [each.dup() for each in self._sockets], proxies=proxies)
        return runner, self._sockets[0].getsockname()[1]

    def close(self) -> None:
        """Listen no more; a socket that systemd passed goes on listening there."""
        for each in self._sockets:
            each.close()
        self._sockets = []


async def _listen(host: str, port: int) -> list[socket.socket]:
    """Bind every address of `host`. Raises ListenError."""
    loop, sockets = asyncio.get_running_loop(), list[socket.socket]()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in dict.fromkeys(found):
            sockets.append(socket.create_server(address[:2], family=family))
    except OSError as error:
        for each in sockets:
            each.close()
        where, reason = f"{host}:{port}", error.strerror or str(error)
        raise ListenError(f"admin.host, admin.port: cannot listen on {where}: {reason}") from error
    return sockets
