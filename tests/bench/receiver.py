"""A receiver that does as little as possible: answers 200, and notes what came when."""

import asyncio
import time
from typing import Any

import httptools

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nOK"


class Tally:
    """`receipts` maps a message id to the monotonic time of its first receipt."""

    def __init__(self) -> None:
        self.count = 0
        self.receipts: dict[bytes, float] = {}
        self._wanted = 0
        self._reached: asyncio.Event = asyncio.Event()

    def note(self, message_id: bytes) -> None:
        self.count += 1
        self.receipts.setdefault(message_id, time.monotonic())
        if self.count >= self._wanted:
            self._reached.set()

    async def reach(self, count: int) -> None:
        """Wait until so many requests have come."""
        self._wanted = count
        self._reached.clear()
        if self.count < count:
            await self._reached.wait()


class Conversation(asyncio.Protocol):
    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._id = b""
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        if name == b"webhook-id":
            self._id = value

    def on_message_complete(self) -> None:
        self._tally.note(self._id)
        self._transport.write(ANSWER)


async def listen(tally: Tally) -> tuple[asyncio.Server, str]:
    """Listen on a free port of loopback; the server and its URL."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Conversation(tally), "127.0.0.1", 0, backlog=4096)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
