"""A receiver that misbehaves on purpose: a raw socket server, played by a script for each visit."""

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from threading import Thread
from typing import Any

import uvloop

HTTP = b"HTTP/1.1 "
OK = HTTP + b"200 OK\r\nContent-Length: 2\r\n\r\nOK"
CHUNKED = HTTP + b"200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)

GONE = (ConnectionError, asyncio.IncompleteReadError)


class Visit:
    """One connection that the sender made, in the hands of a script; `number` counts from 1."""

    def __init__(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.number = number
        self.requests: list[bytes] = []
        self._reader = reader
        self._writer = writer

    async def request(self) -> bytes:
        """Read one whole request: its head, and as much as its Content-Length says."""
        head = await self.head()
        length = CONTENT_LENGTH.search(head)
        body = await self._reader.readexactly(int(length[1]) if length else 0)
        self.requests.append(head + body)
        return head + body

    async def head(self) -> bytes:
        """Read no more than a request's head."""
        return await self._reader.readuntil(b"\r\n\r\n")

    async def say(self, data: bytes) -> None:
        """Send it; returns when the other side has taken most of what was said."""
        if self._writer.is_closing():
            raise ConnectionResetError  # uvloop says RuntimeError here
        self._writer.write(data)
        await self._writer.drain()
        await asyncio.sleep(0)  # a turn for the others: drain takes none while there is room

    async def say_for_ever(self, data: bytes) -> None:
        while True:
            await self.say(data)

    async def drip(self, data: bytes, *, every: float) -> None:
        """A byte at a time."""
        for byte in data:
            await self.say(bytes([byte]))
            await asyncio.sleep(every)

    async def left(self) -> None:
        """Wait until the sender hangs up, reading nothing that it says before."""
        while await self._reader.read(65536):
            pass

    @property
    def peer_name(self) -> str:
        """The common name in the certificate that the sender showed."""
        certificate: Any = self._writer.get_extra_info("peercert")
        return str(dict(pair for part in certificate["subject"] for pair in part)["commonName"])

    def hang_up(self) -> None:
        self._writer.close()

    def reset(self) -> None:
        """End it with RST in place of FIN."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def stop_reading(self) -> None:
        transport: Any = self._writer.transport  # uvloop's is no asyncio.Transport by inheritance
        transport.pause_reading()

    @property
    def _socket(self) -> socket.socket:
        found: socket.socket = self._writer.get_extra_info("socket")
        return found


Script = Callable[[Visit], Awaitable[None]]


class Hostile:
    """All visits so far, and how many go on; `port` is where it listens."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.visits: list[Visit] = []
        self.open_now = 0
        self.port = 0
        self.url = ""
        self._playing: set[asyncio.Task[None]] = set()

    @property
    def requests(self) -> list[bytes]:
        return [request for visit in self.visits for request in visit.requests]

    def receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visit = Visit(len(self.visits) + 1, reader, writer)
        self.visits.append(visit)
        task = asyncio.create_task(self._play(visit))
        self._playing.add(task)
        task.add_done_callback(self._playing.discard)

    async def _play(self, visit: Visit) -> None:
        self.open_now += 1
        try:
            await self.script(visit)
        except GONE:
            pass  # the sender has seen enough
        finally:
            self.open_now -= 1
            visit.hang_up()

    async def stop(self) -> None:
        for task in list(self._playing):
            task.cancel()
        await asyncio.gather(*self._playing, return_exceptions=True)


@asynccontextmanager
async def hostile(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Hostile]:
    """A server on loopback that plays `script` with every visitor."""
    server = Hostile(script)
    listening = await asyncio.start_server(
        server.receive, "127.0.0.1", 0, ssl=tls, limit=1 << 20, backlog=1024
    )
    server.port = listening.sockets[0].getsockname()[1]
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.port}/"
    try:
        yield server
    finally:
        listening.close()
        await server.stop()
        await listening.wait_closed()


@contextmanager
def hostile_apart(script: Script) -> Iterator[str]:
    """The same on a loop and in a thread of its own, so that its work is not ours; its URL."""
    ready: Future[tuple[str, Callable[[], object]]] = Future()

    async def serve() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        async with hostile(script) as server:
            ready.set_result((server.url, lambda: loop.call_soon_threadsafe(stop.set)))
            await stop.wait()

    thread = Thread(target=lambda: uvloop.run(serve()))
    thread.start()
    url, stop = ready.result(timeout=10)
    try:
        yield url
    finally:
        stop()
        thread.join()


def saying(answer: bytes) -> Script:
    """Answer every request of a connection with these bytes."""

    async def script(visit: Visit) -> None:
        while True:
            await visit.request()
            await visit.say(answer)

    return script


def saying_once(answer: bytes) -> Script:
    """Answer one request with these bytes, and hang up."""

    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.say(answer)

    return script


def saying_for_ever(beginning: bytes, again: bytes) -> Script:
    """Begin an answer and never come to its end."""

    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.say(beginning)
        await visit.say_for_ever(again)

    return script


def dripping(beginning: bytes, again: bytes, *, every: float = 0.02) -> Script:
    """The same, a byte at a time."""

    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.say(beginning)
        while True:
            await visit.drip(again, every=every)

    return script


def stopping_after(beginning: bytes) -> Script:
    """Send the beginning of an answer, then nothing more."""

    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.say(beginning)
        await visit.left()

    return script


def resetting_after(beginning: bytes) -> Script:
    """Send the beginning of an answer, then reset the connection."""

    async def script(visit: Visit) -> None:
        await visit.request()
        if beginning:
            await visit.say(beginning)
        visit.reset()

    return script


async def silent(visit: Visit) -> None:
    """Listen, and say nothing."""
    await visit.left()


async def deaf(visit: Visit) -> None:
    """Neither read nor say anything."""
    visit.stop_reading()
    await asyncio.Event().wait()


async def hanging_up(visit: Visit) -> None:
    """Close at once."""


async def resetting(visit: Visit) -> None:
    """Reset at once."""
    visit.reset()


# None of these comes to an end by itself.
SLOW = {
    "says nothing": silent,
    "reads nothing": deaf,
    "drips a status line": dripping(b"", HTTP + b"200 " + b"x" * 1000),
    "drips headers": dripping(HTTP + b"200 OK\r\n", b"X: a\r\n"),
    "drips interim answers": dripping(b"", HTTP + b"103 E\r\n\r\n"),
    "drips a body": dripping(HTTP + b"200 OK\r\n\r\n", b"x"),
    "drips chunks": dripping(CHUNKED, b"1\r\nx\r\n"),
    "stops in its head": stopping_after(HTTP + b"200 OK\r\nX: "),
    "stops in its body": stopping_after(HTTP + b"200 OK\r\nContent-Length: 2\r\n\r\nO"),
}
