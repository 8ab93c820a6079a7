"""
Through the operator's egress proxy: a tunnel to an address that has been judged already.

The proxy is asked for the address, never for the name, so that what was judged is what is reached.
What goes wrong with the proxy itself is our own fault, and no endpoint's.
"""

import asyncio
import re
import socket
from binascii import b2a_base64
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from daemon.core.errors import PostponedError

LONGEST_ANSWER = 8 * 1024
STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([0-9]{3})(?: |\r\n)")
# With these a proxy says that the other side cannot be reached. (RFC 9110, sections 15.6.3 to 5.)
UNREACHABLE = {502, 503, 504}
FORBIDDEN = 403


class ProxyError(PostponedError):
    """The proxy cannot be used."""


class UnreachableError(Exception):
    """The proxy works, and could not reach the receiver."""


class ForbiddenError(Exception):
    """The proxy works, and its rules forbid the receiver."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where the proxy is; `authorization` is the value of its header, None without a password."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)

    @classmethod
    def from_url(cls, url: str) -> "Proxy":
        """Read `http://user:password@host:port`, which has been checked already."""
        parts = urlsplit(url)
        assert parts.hostname is not None
        authorization = None
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            authorization = f"Basic {b2a_base64(pair, newline=False).decode()}"
        return cls(parts.hostname, parts.port or 3128, authorization)


async def tunnel(sock: socket.socket, proxy: Proxy, address: str, port: int) -> None:
    """
    Make `sock`, which is connected to the proxy, a way to `address`.

    Raises ProxyError, UnreachableError or ForbiddenError; the caller closes `sock` then.
    """
    loop = asyncio.get_running_loop()
    authority = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    head = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n"
    if proxy.authorization is not None:
        head += f"Proxy-Authorization: {proxy.authorization}\r\n"
    try:
        await loop.sock_sendall(sock, f"{head}\r\n".encode())
        status = await _status(loop, sock)
    except OSError as error:
        raise ProxyError("the egress proxy closed the connection") from error
    match status:
        case _ if 200 <= status < 300:
            return
        case _ if status in UNREACHABLE:
            raise UnreachableError
        case _ if status == FORBIDDEN:
            raise ForbiddenError
        case _:
            raise ProxyError(f"the egress proxy answers with status {status}")


async def _status(loop: asyncio.AbstractEventLoop, sock: socket.socket) -> int:
    answer = b""
    while b"\r\n\r\n" not in answer:
        more = await loop.sock_recv(sock, LONGEST_ANSWER)
        answer += more
        if not more or len(answer) > LONGEST_ANSWER:
            raise ProxyError("the egress proxy does not speak HTTP")
    status = STATUS_LINE.match(answer)
    # Nobody has been spoken to yet: what comes behind the head would pass for the receiver's.
    if status is None or (status[1].startswith(b"2") and not answer.endswith(b"\r\n\r\n")):
        raise ProxyError("the egress proxy does not speak HTTP")
    return int(status[1])
