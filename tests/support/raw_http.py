"""A client of the admin port that writes the bytes of its requests itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from yarl import URL

from tests.support.api_client import OPERATOR, ApiClient

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
OPENAPI = b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
ANSWER_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class RawClient:
    """A connection to the admin port."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        """Send these bytes."""
        self.writer.write(data)

    async def ask(self, request: bytes) -> int:
        """Send a request, and read its response; return the status, 0 if there is none."""
        try:
            self.send(request)
            return await self.status()
        except (ConnectionError, asyncio.IncompleteReadError):
            return 0

    async def status(self) -> int:
        """Read one response that has a Content-Length; return its status."""
        async with asyncio.timeout(ANSWER_SECONDS):
            head = await self.reader.readuntil(b"\r\n\r\n")
            _, _, length = head.lower().partition(b"content-length: ")
            await self.reader.readexactly(int(length.partition(b"\r\n")[0]))
        return int(head.split(b" ")[1])

    async def read_to_end(self) -> bytes:
        """Everything that arrives until the server closes or aborts the connection."""
        received = b""
        async with asyncio.timeout(ANSWER_SECONDS):
            try:
                while data := await self.reader.read(1 << 20):
                    received += data
            except ConnectionError:
                pass
        return received

    @property
    def is_closed(self) -> bool:
        """Whether the server has ended the connection, as far as this end has noticed."""
        return self.reader.at_eof() or self.reader.exception() is not None


def post_head(tenant: UUID, length: int) -> bytes:
    """The head of a request whose body has `length` bytes."""
    return (
        "POST /api/webhooks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {OPERATOR}\r\nX-Tenant-ID: {tenant}\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


@asynccontextmanager
async def connected(api: ApiClient, *, source: str = "127.0.0.1") -> AsyncIterator[RawClient]:
    """Yield a connection that comes from the address `source`."""
    url = URL(api.url("/"))
    reader, writer = await asyncio.open_connection(url.host, url.port, local_addr=(source, 0))
    try:
        yield RawClient(reader, writer)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def crowd(
    api: ApiClient, count: int, *, source: str = "127.0.0.1", sent: bytes = b""
) -> AsyncIterator[list[RawClient]]:
    """Yield this many connections; each has sent `sent`."""
    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(count):
            client = await stack.enter_async_context(connected(api, source=source))
            client.send(sent)
            clients.append(client)
        yield clients


async def probe(api: ApiClient, path: str = "/healthz", *, source: str = "127.0.0.1") -> int:
    """Ask for a path on a new connection; return the status, 0 if there is no response."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    try:
        async with connected(api, source=source) as client:
            return await client.ask(request)
    except ConnectionError:
        return 0
