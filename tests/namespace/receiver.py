"""A receiver on every address of the namespace at once, which records where requests arrive."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.support.hostile import DISCONNECTED, Connection
from tests.support.receiver import Reply

TLS_PORTS = (443, 8443)
PLAIN_PORTS = (80, 3128)
REQUEST = re.compile(rb"POST (?P<path>\S+) HTTP/1\.1\r\nHost: (?P<host>\S+)\r\n")


class ReceiverEverywhere:
    """`connections` holds (address, port), `requests` holds (address, URL), in order of arrival."""

    def __init__(self, respond: Callable[[str], Reply], tls: ssl.SSLContext) -> None:
        self.connections: list[tuple[str, int]] = []
        self.requests: list[tuple[str, str]] = []
        self._respond = respond
        self._tls = tls

    def has_received(self, url: str) -> bool:
        """Whether a request for this URL was received."""
        return any(url == received for _, received in self.requests)

    async def receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Record a connection, and respond to its request if it completes a TLS handshake."""
        address, port = writer.get_extra_info("sockname")[:2]
        self.connections.append((address, port))  # a connection counts even if its handshake fails
        try:
            if port in TLS_PORTS:
                await writer.start_tls(self._tls)
                await self._reply(Connection(len(self.connections), reader, writer), address)
        except (*DISCONNECTED, ssl.SSLError):
            pass  # the connection is recorded, and nothing else matters
        finally:
            writer.close()

    async def _reply(self, connection: Connection, address: str) -> None:
        request = REQUEST.match(await connection.request())
        assert request is not None
        url = f"https://{request['host'].decode()}{request['path'].decode()}"
        self.requests.append((address, url))
        await connection.send(self._respond(url).wire())


@asynccontextmanager
async def receiving_everywhere(
    respond: Callable[[str], Reply], tls: ssl.SSLContext
) -> AsyncIterator[ReceiverEverywhere]:
    """Listen on all addresses of both families; each connection ends after one response."""
    receiver = ReceiverEverywhere(respond, tls)
    servers = [
        await asyncio.start_server(receiver.receive, None, port)
        for port in (*TLS_PORTS, *PLAIN_PORTS)
    ]
    try:
        yield receiver
    finally:
        for server in servers:
            server.close()
