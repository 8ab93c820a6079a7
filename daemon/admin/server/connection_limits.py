"""
Limits on connections to the admin port, which anyone can open without a token.

The number of connections and the time that each may idle are bounded, because idle connections
would otherwise use up the sockets that deliveries need.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from struct import Struct
from typing import cast

from aiohttp import web
from aiohttp.typedefs import Handler

from daemon.admin.api.client_address import TrustedProxies, network_of
from daemon.admin.api.known_caller import known_caller
from daemon.admin.api.peer import client_network
from daemon.admin.api.problems import RETRY_SOON, Problem
from daemon.admin.server.connection_places import Caller, ConnectionPlaces, Place
from daemon.admin.server.health_routes import PUBLIC_PATHS
from daemon.admin.server.paced_input import (
    PIECE_BYTES,
    REQUEST_SECONDS,
    Body,
    PacedInput,
    PacedTransport,
)
from daemon.runtime.loop_share import LoopShare

HEAD_SECONDS = 10.0  # for the head of the first request
IDLE_SECONDS = 30.0  # between two requests, including the head of the second one
# A client that reads a response must read so much of it, or all that is left, within this time.
STALLED_WRITE_SECONDS = 30.0
STALLED_WRITE_BYTES = 48 * 1024
# Of responses that are not read, in the system's memory; by default up to 4 MiB of a connection.
KERNEL_BYTES = 128 * 1024
# A connection that was accepted just before the end has so long to send its request.
LAST_HEADS_SECONDS = 0.5

HEAD_REFUSAL = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: application/problem+json\r\n"
    b"Content-Length: %d\r\nConnection: close\r\nServer: webhookd\r\n"
    b"X-Content-Type-Options: nosniff\r\n\r\n"
)

# Of connections that are not accepted yet. Beyond them the system drops others' first packets,
# which clients repeat after one, three and seven seconds.
BACKLOG = 1024

# tcpi_bytes_acked in the tcp_info of linux/tcp.h
TCP_INFO_BYTES = 192
BYTES_ACKED = Struct("=Q")
BYTES_ACKED_OFFSET = 120


class LimitedSite(web.BaseSite):
    """A listening socket whose connections are limited."""

    __slots__ = ("_new", "_places", "_proxies", "_share", "_socket")

    def __init__(
        self,
        runner: web.BaseRunner,
        listening: socket.socket,
        places: ConnectionPlaces,
        *,
        share: LoopShare,
        proxies: TrustedProxies,
    ) -> None:
        super().__init__(runner, backlog=BACKLOG)
        self._share = share
        self._socket = listening
        self._places = places
        self._proxies = proxies
        self._new: set[LimitedConnection] = set()

    @property
    def name(self) -> str:
        """The address, as aiohttp shows it."""
        host, port = self._socket.getsockname()[:2]
        return f"http://{host}:{port}"

    async def start(self) -> None:
        """Accept connections."""
        await super().start()
        server = self._runner.server
        assert server is not None
        self._server = await asyncio.get_running_loop().create_server(
            lambda: LimitedConnection(
                server, self._places, self._proxies, share=self._share, new=self._new
            ),
            sock=self._socket,
            backlog=self._backlog,
        )

    async def stop(self) -> None:
        """Accept no more, and let those that were just accepted send their request."""
        await super().stop()
        await asyncio.sleep(0)  # what was accepted in this iteration of the loop is made now
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_HEADS_SECONDS):
                while self._new:  # noqa: ASYNC110  An event for so short a wait would be more code.
                    await asyncio.sleep(0.01)


class LimitedConnection(asyncio.BufferedProtocol):
    """One connection: hands everything to aiohttp's protocol in turn, and ends it when it idles."""

    def __init__(
        self,
        make_http_protocol: Callable[[], asyncio.Protocol],
        places: ConnectionPlaces,
        proxies: TrustedProxies,
        *,
        share: LoopShare,
        new: "set[LimitedConnection]",
    ) -> None:
        self._make_http_protocol = make_http_protocol
        self._new = new  # those that have sent no request yet
        self._http: asyncio.Protocol | None = None
        self._places = places
        self._proxies = proxies
        self._share = share
        self._buffer = bytearray(PIECE_BYTES)
        self._transport: asyncio.Transport
        self._place: Place
        self._input: PacedInput
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept the connection, or abort it when all places are in use."""
        transport = cast("asyncio.Transport", transport)  # uvloop's classes do not inherit from it
        self._transport = transport
        self._place = Place(self._peer(), self._abort)
        if not self._places.open(self._place):
            transport.abort()
            return
        self._new.add(self)
        transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES
        )
        # So that `pause_writing` says whether the client has left anything unread.
        transport.set_write_buffer_limits(high=0)
        self._http = self._make_http_protocol()
        self._input = PacedInput(
            transport,
            receive=self._http.data_received,
            refuse_head=self._refuse_head,
            share=self._share,
            owner=self._place.peer,
        )
        self._http.connection_made(PacedTransport.of(transport, self._input))
        self._call_after(HEAD_SECONDS, self._abort)

    def begin_request(self, body: Body, *, is_probe: bool, caller: Caller) -> bool:
        """
        The head of a request is complete; return False if there is no place for the request.

        From the first request on, aiohttp's keep-alive timeout applies.
        """
        self._cancel_deadline()
        self._new.discard(self)
        self._input.begin(body)
        return self._places.begin(self._place, is_probe=is_probe, caller=caller)

    def caller_of(self, request: web.Request) -> Caller:
        """Who sent a request: a caller with a genuine token or session, or the client's network."""
        if (known := known_caller(request)) is not None:
            return Caller(known, is_known=True)
        return Caller(client_network(request, self._proxies), is_known=False)

    @property
    def peer(self) -> Hashable:
        """Whom the bound per peer counts; None for a trusted proxy."""
        return self._place.peer

    async def turn(self) -> None:
        """Wait until a request may be handled, as far as the share of the loop's time allows."""
        if (turn := self._share.turn(self._place.peer)) is not None:
            await turn
        self.spend(REQUEST_SECONDS)

    def spend(self, seconds: float) -> None:
        """Note how long a request was handled for which nothing else counts it."""
        self._share.spend(self._place.peer, seconds)

    def end_request(self) -> None:
        """The response has been sent."""
        self._places.end(self._place)
        self._input.end()

    def get_buffer(self, _: int) -> bytearray:
        """Where the next piece goes."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Hand the piece to aiohttp in its turn."""
        if self._http is not None:
            self._places.receive(self._place)
            self._input.take(bytes(self._buffer[:nbytes]))

    def eof_received(self) -> bool | None:
        """Forward to aiohttp."""
        return None if self._http is None else self._http.eof_received()

    def pause_writing(self) -> None:
        """The client has not read everything: give it a deadline."""
        if self._http is not None:
            self._expect_reading()
            self._http.pause_writing()

    def resume_writing(self) -> None:
        """The client has read everything."""
        if self._http is not None:
            self._cancel_deadline()
            self._http.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Make room for another connection."""
        self._cancel_deadline()
        self._new.discard(self)
        self._places.close(self._place)
        if self._http is not None:
            self._input.drop()
            self._http.connection_lost(exc)

    def _refuse_head(self) -> None:
        """Answer for aiohttp, which has not seen the whole head, and close the connection."""
        body = Problem(431, "the head of the request is larger than 32 KiB").response().body
        assert isinstance(body, bytes)
        self._transport.write(HEAD_REFUSAL % len(body) + body)
        self._input.close()

    def _abort(self) -> None:
        self._cancel_deadline()
        self._transport.abort()

    def _peer(self) -> Hashable:
        """Whom the bound per peer counts; None for a trusted proxy."""
        name = self._transport.get_extra_info("peername")
        address = self._proxies.client_of(name[0] if name else None, ())
        if address is None:
            return "disconnected"
        # As text, because it is compared often.
        return None if address in self._proxies else str(network_of(address))

    def _expect_reading(self) -> None:
        received_before = _bytes_received(self._transport)

        def check() -> None:
            if _bytes_received(self._transport) < received_before + STALLED_WRITE_BYTES:
                self._abort()
            else:
                self._expect_reading()

        self._call_after(STALLED_WRITE_SECONDS, check)

    def _call_after(self, seconds: float, callback: Callable[[], None]) -> None:
        self._cancel_deadline()
        self._deadline = asyncio.get_running_loop().call_later(seconds, callback)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _bytes_received(transport: asyncio.Transport) -> int:
    """Bytes that the client's kernel has acknowledged: transports do not count parts of a write."""
    client = transport.get_extra_info("socket")
    info: bytes = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)
    return int(BYTES_ACKED.unpack_from(info, BYTES_ACKED_OFFSET)[0])


@web.middleware
async def limit_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer 503 to a request for which there is no place; health and metrics always have one."""
    connection = None if request.transport is None else request.transport.get_protocol()
    if not isinstance(connection, LimitedConnection):
        return await handler(request)
    is_probe = request.path in PUBLIC_PATHS
    caller = connection.caller_of(request)
    if not connection.begin_request(request.content, is_probe=is_probe, caller=caller):
        problem = Problem(503, "too many connections are open: try again soon", headers=RETRY_SOON)
        refusal = problem.response()
        refusal.force_close()
        return refusal
    await connection.turn()
    began = time.perf_counter()
    answer = await handler(request)
    if is_probe:
        connection.spend(time.perf_counter() - began)
        connection.end_request()  # a client that does not read it must not keep a probe's place
    return answer
