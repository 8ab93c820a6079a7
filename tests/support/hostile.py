"""A receiver that misbehaves on purpose: a socket server that runs a script per connection."""

import asyncio
import os
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.support.own_ports import listening_socket

HTTP = b"HTTP/1.1 "
OK = HTTP + b"200 OK\r\nContent-Length: 2\r\n\r\nOK"
CHUNKED = HTTP + b"200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)\r\n", re.IGNORECASE)

DISCONNECTED = (ConnectionError, asyncio.IncompleteReadError)


class Connection:
    """The server's end of a connection, for scripts; `number` counts connections from 1."""

    def __init__(
        self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.number = number
        self.requests: list[bytes] = []
        self._reader = reader
        self._writer = writer

    async def request(self) -> bytes:
        """Read one whole request; its Content-Length gives the length of the body."""
        head = await self.head()
        length = CONTENT_LENGTH.search(head)
        body = await self._reader.readexactly(int(length[1]) if length else 0)
        self.requests.append(head + body)
        return head + body

    async def head(self) -> bytes:
        """Read the head of a request and no more."""
        return await self._reader.readuntil(b"\r\n\r\n")

    async def read_some(self) -> bytes:
        """Read at least one byte, and all that was received so far."""
        data = await self._reader.read(65536)
        if not data:
            raise ConnectionResetError
        return data

    async def read_slowly(self, *, every: float) -> None:
        """Read 50 bytes at a time, with a pause after each."""
        while True:
            await self._reader.readexactly(50)
            await asyncio.sleep(every)

    async def send(self, data: bytes) -> None:
        """Send the data; returns when the client has read most of it."""
        if self._writer.is_closing():
            raise ConnectionResetError  # uvloop raises RuntimeError
        self._writer.write(data)
        await self._writer.drain()
        await asyncio.sleep(0)  # drain does not yield to other tasks while the buffer has room

    async def send_endlessly(self, data: bytes) -> None:
        """Send the data again and again."""
        while True:
            await self.send(data)

    async def drip(self, data: bytes, *, every: float) -> None:
        """Send a byte at a time, with a pause after each."""
        for byte in data:
            await self.send(bytes([byte]))
            await asyncio.sleep(every)

    async def wait_closed(self) -> None:
        """Wait until the client closes the connection, and ignore what it sends before."""
        while await self._reader.read(65536):
            pass

    @property
    def peer_name(self) -> str:
        """The common name in the client's certificate."""
        certificate: Any = self._writer.get_extra_info("peercert")
        return str(dict(pair for part in certificate["subject"] for pair in part)["commonName"])

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()

    def truncate_stream(self) -> None:
        """Send FIN without TLS's close_notify, as in a truncation attack."""
        with socket.socket(fileno=os.dup(self._socket.fileno())) as duplicate:
            duplicate.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close the connection with RST in place of FIN."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    def stop_reading(self) -> None:
        """Read nothing more of what the client sends."""
        # uvloop's transports do not inherit from asyncio.Transport.
        transport: Any = self._writer.transport
        transport.pause_reading()

    @property
    def _socket(self) -> socket.socket:
        found: socket.socket = self._writer.get_extra_info("socket")
        return found


Script = Callable[[Connection], Awaitable[None]]


class HostileServer:
    """A server that runs `script` for each connection; `open_now` counts the open ones."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.connections: list[Connection] = []
        self.open_now = 0
        self.port = 0
        self.url = ""
        self._running: set[asyncio.Task[None]] = set()

    @property
    def requests(self) -> list[bytes]:
        """All requests that scripts have read completely, by connection."""
        return [request for connection in self.connections for request in connection.requests]

    def receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Run the script for a new connection."""
        connection = Connection(len(self.connections) + 1, reader, writer)
        self.connections.append(connection)
        task = asyncio.create_task(self._run(connection))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, connection: Connection) -> None:
        self.open_now += 1
        try:
            await self.script(connection)
        except DISCONNECTED:
            pass  # the client closed the connection
        finally:
            self.open_now -= 1
            connection.close()

    async def stop(self) -> None:
        """Cancel all scripts."""
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


@asynccontextmanager
async def hostile(
    script: Script,
    *,
    tls: ssl.SSLContext | None = None,
    at: tuple[str, int] = ("127.0.0.1", 0),
) -> AsyncIterator[HostileServer]:
    """Yield a server on loopback that runs `script` for every connection."""
    server = HostileServer(script)
    host, port = at
    where = {"host": host, "port": port} if port else {"sock": listening_socket(host)}
    listening = await asyncio.start_server(
        server.receive, **where, ssl=tls, limit=1 << 20, backlog=1024
    )
    server.port = listening.sockets[0].getsockname()[1]
    server.url = f"{'https' if tls else 'http'}://{host}:{server.port}/"
    try:
        yield server
    finally:
        listening.close()
        await server.stop()
        await listening.wait_closed()


def responding_with(answer: bytes) -> Script:
    """Respond to every request of a connection with these bytes."""

    async def script(connection: Connection) -> None:
        while True:
            await connection.request()
            await connection.send(answer)

    return script


def responding_once(answer: bytes) -> Script:
    """Respond to one request with these bytes, and close."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(answer)

    return script


def responding_endlessly(beginning: bytes, again: bytes) -> Script:
    """Begin a response, and send `again` endlessly."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(beginning)
        await connection.send_endlessly(again)

    return script


def dripping(beginning: bytes, again: bytes, *, every: float = 0.02) -> Script:
    """Begin a response, and send `again` endlessly, a byte at a time."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(beginning)
        while True:
            await connection.drip(again, every=every)

    return script


def stopping_after(beginning: bytes) -> Script:
    """Send the beginning of a response, then nothing more."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(beginning)
        await connection.wait_closed()

    return script


def resetting_after(beginning: bytes) -> Script:
    """Send the beginning of a response, then reset the connection."""

    async def script(connection: Connection) -> None:
        await connection.request()
        if beginning:
            await connection.send(beginning)
        connection.reset()

    return script


def truncating_after(beginning: bytes) -> Script:
    """Send the beginning of a response, then end the stream without TLS's close_notify."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(beginning)
        connection.truncate_stream()
        await connection.wait_closed()

    return script


def replying_to_hello(data: bytes, *, again: bytes = b"", every: float = 0.0) -> Script:
    """Reply to the client's first bytes with `data`, then send `again` endlessly, if given."""

    async def script(connection: Connection) -> None:
        await connection.read_some()
        await connection.send(data)
        while again:
            await connection.send(again)
            await asyncio.sleep(every)
        await connection.wait_closed()

    return script


def closing_after_first_bytes(*, reset: bool) -> Script:
    """Close or reset the connection as soon as the client has sent anything."""

    async def script(connection: Connection) -> None:
        await connection.read_some()
        if reset:
            connection.reset()

    return script


async def silent(connection: Connection) -> None:
    """Read everything, and send nothing."""
    await connection.wait_closed()


async def reading_nothing(connection: Connection) -> None:
    """Neither read nor send anything."""
    connection.stop_reading()
    await asyncio.Event().wait()


async def closing_at_once(connection: Connection) -> None:
    """Close at once."""


async def resetting(connection: Connection) -> None:
    """Reset at once."""
    connection.reset()


async def reading_slowly(connection: Connection) -> None:
    """Read a little at a time, and send nothing."""
    await connection.read_slowly(every=0.02)


# A script that does not read does not notice that the client has closed the connection.
NEVER_NOTICES_CLOSE = {reading_nothing, reading_slowly}


async def echoing(connection: Connection) -> None:
    """Send everything that was received back."""
    while True:
        await connection.send(await connection.read_some())
