"""A receiver that does as little as possible: answers 200, and keeps the time of each receipt."""

import asyncio
import time
from typing import Any

import httptools

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nOK"


class Receipts:
    """`first_at` maps a message id to the monotonic time of its first receipt."""

    def __init__(self) -> None:
        self.count = 0
        self.first_at: dict[bytes, float] = {}
        self._wanted = 0
        self._reached = asyncio.Event()

    def add(self, message_id: bytes) -> None:
        """Count a request."""
        self.count += 1
        self.first_at.setdefault(message_id, time.monotonic())
        if self.count >= self._wanted:
            self._reached.set()

    async def wait_for(self, count: int) -> None:
        """Wait until `count` requests have arrived in total."""
        self._wanted = count
        self._reached.clear()
        if self.count < count:
            await self._reached.wait()


class Connection(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, receipts: Receipts) -> None:
        self._receipts = receipts
        self._message_id = b""
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name == b"webhook-id":
            self._message_id = value

    def on_message_complete(self) -> None:
        self._receipts.add(self._message_id)
        self._transport.write(ANSWER)


async def listen(receipts: Receipts) -> tuple[asyncio.Server, str]:
    """Listen on a free loopback port; return the server and its URL."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(receipts), "127.0.0.1", 0, backlog=4096)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
