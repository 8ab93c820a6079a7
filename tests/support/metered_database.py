"""A database behind a relay that counts what its clients are sent."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

CHUNK = 256 * 1024


class Meter:
    """The bytes that PostgreSQL has sent through the relay since `reset`."""

    def __init__(self) -> None:
        self.received = 0

    def reset(self) -> None:
        """Count from now on."""
        self.received = 0

    async def _relay(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, counted: bool
    ) -> None:
        try:
            while chunk := await source.read(CHUNK):
                self.received += len(chunk) if counted else 0
                sink.write(chunk)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            sink.close()

    async def _serve(
        self, host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        from_server, to_server = await asyncio.open_connection(host, port)
        await asyncio.gather(
            self._relay(reader, to_server, counted=False),
            self._relay(from_server, writer, counted=True),
        )


@asynccontextmanager
async def metered(database: str) -> AsyncIterator[tuple[str, Meter]]:
    """Relay to this database; yield the URL of the relay, and its meter."""
    url, meter = urlsplit(database), Meter()
    assert url.hostname is not None
    assert url.port is not None
    host, port = url.hostname, url.port
    relay = await asyncio.start_server(
        lambda reader, writer: meter._serve(host, port, reader, writer), "127.0.0.1", 0
    )
    own = relay.sockets[0].getsockname()[1]
    login = f"{url.username}:{url.password}@" if url.username else ""
    try:
        yield url._replace(netloc=f"{login}127.0.0.1:{own}").geturl(), meter
    finally:
        relay.close()
