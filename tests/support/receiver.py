"""A receiver on loopback that keeps every request, and responds as the test decides."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httptools
import orjson

from tests.support.own_ports import listening_socket


@dataclass(frozen=True, slots=True)
class Received:
    """One request; `at` is its arrival in monotonic seconds."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def event(self) -> Any:
        """The body, parsed."""
        return orjson.loads(self.body)

    @property
    def pair(self) -> tuple[str, str]:
        """The path, which identifies the webhook, and the event's id."""
        return (self.path, self.headers["webhook-id"])


@dataclass(frozen=True, slots=True)
class Reply:
    """A response, sent after `after` seconds, or once `when` is set."""

    status: int = 200
    after: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"OK"
    when: asyncio.Event | None = None

    def wire(self) -> bytes:
        """Return the HTTP response."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items())
        head = f"HTTP/1.1 {self.status} X\r\n{lines}Content-Length: {len(self.body)}\r\n\r\n"
        return head.encode() + self.body


class Receiver:
    """`answer` decides each reply; `received` holds all requests in order of arrival."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answer: Callable[[Received], Reply] = lambda _: Reply()
        self.open_now = 0
        self.open_most = 0
        self.url = ""

    def at(self, path: str) -> list[Received]:
        """Return the requests to one path."""
        return [request for request in self.received if request.path == path]


class _Connection(asyncio.Protocol):
    def __init__(self, receiver: Receiver) -> None:
        self._receiver = receiver
        self._parser = httptools.HttpRequestParser(self)
        self._transport: Any = None  # until a TLS handshake is complete
        self._waiting: asyncio.Task[None] | None = None
        self._reset()

    def _reset(self) -> None:
        self._path = ""
        self._headers: dict[str, str] = {}
        self._body = b""

    def abort(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._path += url.decode()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode().lower()] = value.decode()

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        receiver = self._receiver
        request = Received(self._path, self._headers, self._body, time.monotonic())
        self._reset()
        receiver.received.append(request)
        receiver.open_now += 1
        receiver.open_most = max(receiver.open_most, receiver.open_now)
        reply = receiver.answer(request)
        if reply.when is not None and not reply.when.is_set():
            self._waiting = asyncio.create_task(self._reply_when(reply, reply.when))
        elif reply.after:
            asyncio.get_running_loop().call_later(reply.after, self._reply, reply)
        else:
            self._reply(reply)

    async def _reply_when(self, reply: Reply, event: asyncio.Event) -> None:
        await event.wait()
        self._reply(reply)

    def _reply(self, reply: Reply) -> None:
        self._receiver.open_now -= 1
        if not self._transport.is_closing():
            self._transport.write(reply.wire())


@asynccontextmanager
async def receiving(
    *, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1"
) -> AsyncIterator[Receiver]:
    """Run a receiver during the block, and abort its connections at the end."""
    receiver = Receiver()
    connections: list[_Connection] = []

    def connect() -> _Connection:
        connections.append(_Connection(receiver))
        return connections[-1]

    own = listening_socket(address)
    scheme = "http" if tls is None else "https"
    receiver.url = f"{scheme}://{address}:{own.getsockname()[1]}"
    server = await asyncio.get_running_loop().create_server(
        connect, sock=own, backlog=4096, ssl=tls
    )
    try:
        yield receiver
    finally:
        server.close()
        for connection in connections:
            connection.abort()
        await server.wait_closed()
