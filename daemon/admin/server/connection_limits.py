"""
Limits on connections to the admin port, which anyone can open without a token.

The number of connections and the time that each may idle are bounded, because idle connections
would otherwise use up the sockets that deliveries need.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Handler

MAX_CONNECTIONS = 512
HEAD_SECONDS = 10.0  # for the head of the first request
IDLE_SECONDS = 30.0  # between two requests, including the head of the second one
STALLED_WRITE_SECONDS = 30.0  # for a client that does not read the response


class LimitedSite(web.BaseSite):
    """A listening socket whose connections are limited."""

    __slots__ = ("_host", "_port")

    def __init__(self, runner: web.BaseRunner, host: str, port: int) -> None:
        super().__init__(runner)
        self._host = host
        self._port = port

    @property
    def name(self) -> str:
        """The address, as aiohttp shows it."""
        return f"http://{self._host}:{self._port}"

    async def start(self) -> None:
        """Start listening. Raises OSError when the address cannot be bound."""
        await super().start()
        server = self._runner.server
        assert server is not None
        open_connections: set[LimitedConnection] = set()
        self._server = await asyncio.get_running_loop().create_server(
            lambda: LimitedConnection(server, open_connections),
            self._host,
            self._port,
            backlog=self._backlog,
        )


class LimitedConnection(asyncio.Protocol):
    """One connection: forwards everything to aiohttp's protocol, and ends it when it idles."""

    def __init__(
        self,
        make_http_protocol: Callable[[], asyncio.Protocol],
        open_connections: "set[LimitedConnection]",
    ) -> None:
        self._make_http_protocol = make_http_protocol
        self._http: asyncio.Protocol | None = None
        self._open_connections = open_connections
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept the connection, or abort it when too many are open."""
        transport = cast("asyncio.Transport", transport)  # uvloop's classes do not inherit from it
        if len(self._open_connections) >= MAX_CONNECTIONS:
            transport.abort()
            return
        self._open_connections.add(self)
        self._transport = transport
        self._http = self._make_http_protocol()
        self._http.connection_made(transport)
        self._abort_after(HEAD_SECONDS)

    def head_received(self) -> None:
        """Cancel the deadline: from the first request on, aiohttp's keep-alive timeout applies."""
        self._cancel_deadline()

    def data_received(self, data: bytes) -> None:
        """Forward to aiohttp."""
        if self._http is not None:
            self._http.data_received(data)

    def eof_received(self) -> bool | None:
        """Forward to aiohttp."""
        return None if self._http is None else self._http.eof_received()

    def pause_writing(self) -> None:
        """The client does not read: give it a deadline."""
        if self._http is not None:
            self._abort_after(STALLED_WRITE_SECONDS)
            self._http.pause_writing()

    def resume_writing(self) -> None:
        """The client reads again."""
        if self._http is not None:
            self._cancel_deadline()
            self._http.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room for another connection."""
        self._cancel_deadline()
        self._open_connections.discard(self)
        if self._http is not None:
            self._http.connection_lost(exc)

    def _abort_after(self, seconds: float) -> None:
        self._cancel_deadline()
        if self._transport is not None:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(seconds, self._transport.abort)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


@web.middleware
async def end_head_deadline(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tell the connection that the head of a request is complete."""
    connection = None if request.transport is None else request.transport.get_protocol()
    if isinstance(connection, LimitedConnection):
        connection.head_received()
    return await handler(request)
