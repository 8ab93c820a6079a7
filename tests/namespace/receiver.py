"""A receiver on every address of the namespace at once, which keeps who came where."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.support.hostile import GONE, Visit
from tests.support.receiver import Reply

TLS_PORTS = (443, 8443)
PLAIN_PORTS = (80, 3128)
ASKED = re.compile(rb"POST (?P<path>\S+) HTTP/1\.1\r\nHost: (?P<host>\S+)\r\n")


class Everywhere:
    """`visits` are the address and port of each connection; `requests` the URLs that came there."""

    def __init__(self, answer: Callable[[str], Reply], tls: ssl.SSLContext) -> None:
        self.visits: list[tuple[str, int]] = []
        self.requests: list[tuple[str, str]] = []
        self._answer = answer
        self._tls = tls

    def came(self, url: str) -> bool:
        return any(url == asked for _, asked in self.requests)

    async def receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address, port = writer.get_extra_info("sockname")[:2]
        self.visits.append((address, port))  # before TLS: whoever knocks has come
        try:
            if port in TLS_PORTS:
                await writer.start_tls(self._tls)
                await self._reply(Visit(len(self.visits), reader, writer), address)
        except (*GONE, ssl.SSLError):
            pass  # who came is known, which is all that counts
        finally:
            writer.close()

    async def _reply(self, visit: Visit, address: str) -> None:
        asked = ASKED.match(await visit.request())
        assert asked is not None
        url = f"https://{asked['host'].decode()}{asked['path'].decode()}"
        self.requests.append((address, url))
        await visit.say(self._answer(url).wire())


@asynccontextmanager
async def receiving_everywhere(
    answer: Callable[[str], Reply], tls: ssl.SSLContext
) -> AsyncIterator[Everywhere]:
    """Listens on all addresses of both families; ends each connection after one answer."""
    receiver = Everywhere(answer, tls)
    servers = [
        await asyncio.start_server(receiver.receive, None, port)
        for port in (*TLS_PORTS, *PLAIN_PORTS)
    ]
    try:
        yield receiver
    finally:
        for server in servers:
            server.close()
