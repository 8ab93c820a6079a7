"""A name server on loopback that answers as it is told, or not at all."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, ip_address
from typing import Any

A, AAAA = 1, 28
NO_SUCH_NAME = 3

# What to answer to a question for a name: its addresses, an error's number, or silence.
Answer = Sequence[str] | int | None


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
        name, kind, question = _question_of(data)
        self.asked.append(name)
        answer = self.answer(name)
        if answer is not None:
            self._transport.sendto(_reply(data, kind, question, answer, self._ttl), addr)


def _question_of(data: bytes) -> tuple[str, int, bytes]:
    at, labels = 12, []
    while length := data[at]:
        labels.append(data[at + 1 : at + 1 + length].decode())
        at += length + 1
    return ".".join(labels).lower(), struct.unpack_from(">H", data, at + 1)[0], data[12 : at + 5]


def _reply(
    query: bytes, kind: int, question: bytes, answer: Sequence[str] | int, ttl: int
) -> bytes:
    error = answer if isinstance(answer, int) else 0
    addresses = [] if isinstance(answer, int) else [ip_address(each) for each in answer]
    records = [each.packed for each in addresses if isinstance(each, IPv4Address) == (kind == A)]
    counts = struct.pack(
        ">HHHHH", 0x8180 | error, 1, len(records) if kind in (A, AAAA) else 0, 0, 0
    )
    reply = query[:2] + counts + question
    if kind in (A, AAAA):
        for packed in records:
            reply += b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, ttl, len(packed)) + packed
    return reply


@asynccontextmanager
async def naming(
    *, address: str = "127.0.0.1", port: int = 0, ttl: int = 0
) -> AsyncIterator[NameServer]:
    """A name server that listens on UDP; its answers may be kept for `ttl` seconds."""
    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    # Hundreds of questions at once must not be lost before this loop comes to read them.
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    taken.bind((address, port))
    taken.setblocking(False)
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(lambda: NameServer(ttl=ttl), sock=taken)
    host, number = transport.get_extra_info("sockname")[:2]
    server.address = f"{host}:{number}"
    try:
        yield server
    finally:
        transport.close()
