"""
The doors of the admin port: nobody needs a token to connect, so nobody may stand in them for long.

There are only so many, or somebody's idle connections would take the sockets that deliveries need.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Handler

MOST = 512
HEAD_SECONDS = 10.0  # for the head of the first request
IDLE_SECONDS = 30.0  # between two requests, the head of the second one included
UNREAD_SECONDS = 30.0  # for who asks and does not read the answer


class Site(web.BaseSite):
    """A place to listen at, with doors."""

    __slots__ = ("_host", "_port")

    def __init__(self, runner: web.BaseRunner, host: str, port: int) -> None:
        super().__init__(runner)
        self._host = host
        self._port = port

    @property
    def name(self) -> str:
        return f"http://{self._host}:{self._port}"

    async def start(self) -> None:
        """Raises OSError."""
        await super().start()
        server = self._runner.server
        assert server is not None
        entered: set[Door] = set()
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Door(server, entered), self._host, self._port, backlog=self._backlog
        )


class Door(asyncio.Protocol):
    """One connection; `behind` makes the protocol that speaks HTTP."""

    def __init__(self, behind: Callable[[], asyncio.Protocol], entered: "set[Door]") -> None:
        self._make = behind
        self._behind: asyncio.Protocol | None = None
        self._entered = entered
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's are none by descent
        if len(self._entered) >= MOST:
            transport.abort()
            return
        self._entered.add(self)
        self._transport = transport
        self._behind = self._make()
        self._behind.connection_made(transport)
        self._expect(HEAD_SECONDS)

    def come_in(self) -> None:
        """There is a request: from here on it is aiohttp's keep-alive that counts."""
        self._expect(None)

    def data_received(self, data: bytes) -> None:
        if self._behind is not None:
            self._behind.data_received(data)

    def eof_received(self) -> bool | None:
        return None if self._behind is None else self._behind.eof_received()

    def pause_writing(self) -> None:
        if self._behind is not None:
            self._expect(UNREAD_SECONDS)
            self._behind.pause_writing()

    def resume_writing(self) -> None:
        if self._behind is not None:
            self._expect(None)
            self._behind.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect(None)
        self._entered.discard(self)
        if self._behind is not None:
            self._behind.connection_lost(exc)

    def _expect(self, seconds: float | None) -> None:
        """Be gone in so many seconds, unless this is called again."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if seconds is not None and self._transport is not None:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(seconds, self._transport.abort)


@web.middleware
async def entering(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A whole head has come."""
    door = None if request.transport is None else request.transport.get_protocol()
    if isinstance(door, Door):
        door.come_in()
    return await handler(request)
