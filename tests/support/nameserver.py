"""A name server on loopback that answers as it is told, or not at all."""

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
# RFC 9715 and what resolvers announce: longer replies are asked for once more, over TCP.
UDP_LIMIT = 1232

# From a question to all that is sent back for it.
Forgery = Callable[[bytes], Sequence[bytes]]
# What to answer to a question for a name: its addresses, after the names that it is an alias of;
# an error's number; a forgery; or silence.
Answer = Sequence[str] | int | Forgery | None


class NameServer(asyncio.DatagramProtocol):
    """`answer` decides each reply; `asked` holds every name in the order it was asked for."""

    def __init__(self, *, ttl: int = 0) -> None:
        self.answer: Callable[[str], Answer] = lambda _: NO_SUCH_NAME
        self.asked: list[str] = []
        self.address = ""
        self._ttl = ttl

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport  # uvloop's is no asyncio.DatagramTransport by inheritance

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for reply in self.replies(data):
            short = reply if len(reply) <= UDP_LIMIT else truncated(data)
            self._transport.sendto(short, addr)

    def replies(self, query: bytes) -> Sequence[bytes]:
        """All that is to be sent for a query, however long."""
        name, _, _ = _question_of(query)
        self.asked.append(name)
        answer = self.answer(name)
        if answer is None:
            return []
        return answer(query) if callable(answer) else [reply(query, answer, ttl=self._ttl)]


class _Conversation(asyncio.Protocol):
    """The same over TCP, where each message has its length before it."""

    def __init__(self, server: NameServer, open_now: set[Any]) -> None:
        self._server = server
        self._open_now = open_now
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._open_now.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open_now.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._heard += data
        while len(self._heard) >= 2 + (length := int.from_bytes(self._heard[:2] or b"\xff\xff")):
            query, self._heard = self._heard[2 : 2 + length], self._heard[2 + length :]
            for each in self._server.replies(query):
                self._transport.write(struct.pack(">H", len(each)) + each)


def reply(query: bytes, answer: Sequence[str] | int, *, ttl: int = 0) -> bytes:
    """A proper reply: an error, or the addresses of the kind that was asked for."""
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
    """There is more than a datagram holds."""
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
    """A resource record; of the name in the question when `owner` is empty."""
    name = _encoded(owner) if owner else b"\xc0\x0c"
    return name + struct.pack(">HHIH", kind, 1, ttl, len(data)) + data


def _encoded(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\x00"


@asynccontextmanager
async def naming(
    *, address: str = "127.0.0.1", port: int = 0, ttl: int = 0
) -> AsyncIterator[NameServer]:
    """A name server that listens on UDP and TCP; its answers may be kept for `ttl` seconds."""
    listening = socket.create_server((address, port))
    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    # Hundreds of questions at once must not be lost before this loop comes to read them.
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    taken.bind(listening.getsockname())
    taken.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: NameServer(ttl=ttl), sock=taken)
    open_now: set[Any] = set()
    over_tcp = await loop.create_server(lambda: _Conversation(server, open_now), sock=listening)
    host, number = transport.get_extra_info("sockname")[:2]
    server.address = f"{host}:{number}"
    try:
        yield server
    finally:
        transport.close()
        over_tcp.close()
        for each in list(open_now):
            each.abort()
        await over_tcp.wait_closed()
