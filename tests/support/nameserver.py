"""A DNS server on loopback whose replies a test decides."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

A, CNAME, AAAA = 1, 5, 28
SERVER_FAILED, NO_SUCH_NAME, REFUSED = 2, 3, 5
TRUNCATED = 0x0200
# The size that resolvers announce (RFC 9715). They repeat a query over TCP for longer replies.
UDP_LIMIT = 1232

# Returns all messages that are sent in reply to a query.
Forgery = Callable[[bytes], Sequence[bytes]]
# The reply to a query for a name: its aliases, in order, and its addresses; an error code (RCODE);
# a forgery; or None for no reply.
Answer = Sequence[str] | int | Forgery | None


class NameServer(asyncio.DatagramProtocol):
    """`answer` returns the reply for a name; `queries` holds the names in order."""

    def __init__(self, *, ttl: int = 0) -> None:
        self.answer: Callable[[str], Answer] = lambda _: NO_SUCH_NAME
        self.queries: list[str] = []
        self.address = ""
        self._ttl = ttl

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not inherit from asyncio.DatagramTransport.
        self._transport: Any = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for reply in self.replies(data):
            short = reply if len(reply) <= UDP_LIMIT else truncated(data)
            self._transport.sendto(short, addr)

    def replies(self, query: bytes) -> Sequence[bytes]:
        """Return all messages to send in reply to a query, however long."""
        name, _, _ = _question_of(query)
        self.queries.append(name)
        answer = self.answer(name)
        if answer is None:
            return []
        return answer(query) if callable(answer) else [reply(query, answer, ttl=self._ttl)]


class _TcpConnection(asyncio.Protocol):
    """DNS over TCP, where each message is preceded by its length."""

    def __init__(self, server: NameServer, open_transports: set[Any]) -> None:
        self._server = server
        self._open_transports = open_transports
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._open_transports.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open_transports.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while len(self._received) >= 2 + (
            length := int.from_bytes(self._received[:2] or b"\xff\xff")
        ):
            query, self._received = self._received[2 : 2 + length], self._received[2 + length :]
            for each in self._server.replies(query):
                self._transport.write(struct.pack(">H", len(each)) + each)


def reply(query: bytes, answer: Sequence[str] | int, *, ttl: int = 0) -> bytes:
    """Return a valid reply: an error, or the records of the requested type."""
    name, kind, question = _question_of(query)
    error, found = (answer, []) if isinstance(answer, int) else (0, list(answer))
    records, owner = [], name
    for each in found:
        address = _address(each)
        if address is None:
            records.append(_record(owner, CNAME, _encoded(each), ttl))
            owner = each
        elif kind == (A if isinstance(address, IPv4Address) else AAAA):
            records.append(_record(owner if owner != name else "", kind, address.packed, ttl))
    counts = struct.pack(">HHHHH", 0x8180 | error, 1, len(records), 0, 0)
    return query[:2] + counts + question + b"".join(records)


def truncated(query: bytes) -> bytes:
    """Return a truncated reply, after which the resolver repeats its query over TCP."""
    return (
        query[:2] + struct.pack(">HHHHH", 0x8180 | TRUNCATED, 1, 0, 0, 0) + _question_of(query)[2]
    )


def _address(text: str) -> IPv4Address | IPv6Address | None:
    with suppress(ValueError):
        return ip_address(text)
    return None


def _question_of(data: bytes) -> tuple[str, int, bytes]:
    at, labels = 12, []
    while length := data[at]:
        labels.append(data[at + 1 : at + 1 + length].decode())
        at += length + 1
    return ".".join(labels).lower(), struct.unpack_from(">H", data, at + 1)[0], data[12 : at + 5]


def _record(owner: str, kind: int, data: bytes, ttl: int) -> bytes:
    """Return a resource record; an empty `owner` means the name in the question."""
    name = _encoded(owner) if owner else b"\xc0\x0c"
    return name + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data


def _encoded(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\x00"


@asynccontextmanager
async def name_server(
    *, address: str = "127.0.0.1", port: int = 0, ttl: int = 0
) -> AsyncIterator[NameServer]:
    """Yield a name server on UDP and TCP; its replies may be cached for `ttl` seconds."""
    listening = socket.create_server((address, port))
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    # Hundreds of queries at once must not be dropped before the event loop reads them.
    datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    datagrams.bind(listening.getsockname())
    datagrams.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(
        lambda: NameServer(ttl=ttl), sock=datagrams
    )
    open_transports: set[Any] = set()
    over_tcp = await loop.create_server(
        lambda: _TcpConnection(server, open_transports), sock=listening
    )
    host, number = transport.get_extra_info("sockname")[:2]
    server.address = f"{host}:{number}"
    try:
        yield server
    finally:
        transport.close()
        over_tcp.close()
        for each in list(open_transports):
            each.abort()
        await over_tcp.wait_closed()
