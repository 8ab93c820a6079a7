"""
Tunnels through the operator's egress proxy (HTTP CONNECT, RFC 9110, section 9.3.6).

Rule: the proxy is asked for the address that was judged, never for the name. A fault of the proxy
itself is our own, and no endpoint's; while it opens tunnels to others, its refusal is no such
fault.
"""

import asyncio
import re
import socket
from binascii import b2a_base64
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from daemon.core.errors import PostponedError

DEFAULT_PORT = 3128
MAX_REPLY_BYTES = 8 * 1024
STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: |\r\n)")
END_OF_HEAD = b"\r\n\r\n"
# With these a proxy says that it cannot reach the other side. (RFC 9110, sections 15.6.3 to 5.)
UNREACHABLE_STATUSES = frozenset({502, 503, 504})
FORBIDDEN_STATUS = 403
# So long after a tunnel, other statuses speak of the receiver, too: tinyproxy answers 500 for one
# that it cannot reach, and Smokescreen 407 for one that it forbids.
WORKS_SECONDS = 60.0


class ProxyError(PostponedError):
    """The proxy cannot be used."""


class ReceiverUnreachableError(Exception):
    """The proxy works, and could not reach the receiver; `status` is its answer to CONNECT."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class TargetForbiddenError(Exception):
    """The proxy works, and its rules forbid the receiver."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """Host and port of the proxy, and the value of Proxy-Authorization if it needs a password."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)

    @classmethod
    def from_url(cls, url: str) -> "Proxy":
        """Read `http://user:password@host:port`, which the configuration has validated."""
        parts = urlsplit(url)
        assert parts.hostname is not None
        authorization = None
        if parts.username is not None:
            credentials = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            authorization = f"Basic {b2a_base64(credentials, newline=False).decode()}"
        return cls(parts.hostname, parts.port or DEFAULT_PORT, authorization)


class Tunnels:
    """Those through one proxy; create it inside the running loop."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self._loop = asyncio.get_running_loop()
        self._worked_at = float("-inf")

    async def open(self, sock: socket.socket, *, address: str, port: int) -> None:
        """
        Turn `sock`, which is connected to the proxy, into a connection to `address`.

        Raises ProxyError, ReceiverUnreachableError or TargetForbiddenError; the caller then closes
        `sock`.
        """
        try:
            await self._loop.sock_sendall(sock, _connect_request(self.proxy, address, port))
            status = await _read_status(self._loop, sock)
        except OSError as error:
            raise ProxyError("the egress proxy closed the connection") from error
        if 200 <= status < 300:
            self._worked_at = self._loop.time()
            return
        if status == FORBIDDEN_STATUS:
            raise TargetForbiddenError
        if status in UNREACHABLE_STATUSES or self._loop.time() - self._worked_at < WORKS_SECONDS:
            raise ReceiverUnreachableError(status)
        raise ProxyError(f"the egress proxy answered CONNECT with status {status}")


def _connect_request(proxy: Proxy, address: str, port: int) -> bytes:
    authority = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    head = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n"
    if proxy.authorization is not None:
        head += f"Proxy-Authorization: {proxy.authorization}\r\n"
    return f"{head}\r\n".encode()


async def _read_status(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> int:
    reply = b""
    while END_OF_HEAD not in reply:
        more = await loop.sock_recv(sock, MAX_REPLY_BYTES)
        reply += more
        if not more or len(reply) > MAX_REPLY_BYTES:
            raise ProxyError("the egress proxy's reply is not valid HTTP")
    status = STATUS_LINE.match(reply)
    # The receiver cannot have sent anything yet: bytes after the head would pass for its response.
    if status is None or (status[1].startswith(b"2") and not reply.endswith(END_OF_HEAD)):
        raise ProxyError("the egress proxy's reply is not valid HTTP")
    return int(status[1])
