"""
A client's bytes, handed to aiohttp in small pieces, within a share of the event loop's time.

Rule: input is untrusted, and its cost is its sender's choice. aiohttp takes seconds of the loop for
a megabyte in chunks of a byte each, keeps heads of two megabytes, and reads ahead of a request that
waits. So a piece is read when the one before is paid for, what follows a request stays in the
operating system until its response is sent, and a head ends where no honest one does.
"""

import asyncio
import select
import time
from collections.abc import Callable, Hashable
from typing import Any, Protocol, cast

from daemon.runtime.loop_share import LoopShare

PIECE_BYTES = 4096
# Request line and all headers. Browsers send up to 16 KiB: a long URL, and cookies.
MAX_HEAD_BYTES = 32 * 1024
INPUT_SHARE = 0.25  # of the loop's time, for all connections
# Of the loop's time for a request of which the handler does nothing.
REQUEST_SECONDS = 0.0003
# RFC 9112, section 9.6: what is unread when a connection is closed makes the operating system reset
# it, and the client may lose the response. So much more is read.
LINGER_BYTES = 256 * 1024
LINGER_SECONDS = 1.0


class Body(Protocol):
    """The body of a request, as aiohttp's StreamReader."""

    def is_eof(self) -> bool:
        """Whether all of it was received."""


class PacedInput:
    """
    The input of one connection; `receive` gets each piece in its turn.

    `share` is that of all connections, and `owner` whose turn this one's pieces take.
    `refuse_head` is called when a head has become too large, and has to close the connection.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        *,
        receive: Callable[[bytes], None],
        refuse_head: Callable[[], None],
        share: LoopShare,
        owner: Hashable,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._receive = receive
        self._refuse_head = refuse_head
        self._share = share
        self._owner = owner
        self._piece = b""  # not handed over yet
        self._turn: asyncio.Future[None] | None = None
        self._paused = False  # by aiohttp
        self._body: Body | None = None  # of the last request
        self._is_under_way = False
        self._head_bytes = 0
        self._linger_bytes = 0  # how many more are read, once it `is_closing`
        self.is_closing = False

    def take(self, piece: bytes) -> None:
        """Take a piece from the network, no longer than PIECE_BYTES; pauses until it is due."""
        if self.is_closing:
            self._linger_bytes -= len(piece)
            if self._linger_bytes < 0:
                self._transport.abort()
            return
        self._piece = piece
        self._transport.pause_reading()
        self._offer()

    def begin(self, body: Body) -> None:
        """The head of a request is complete."""
        self._body, self._is_under_way, self._head_bytes = body, True, 0

    def end(self) -> None:
        """The response has been sent."""
        self._is_under_way = False
        self._loop.call_soon(self._go_on)

    def pause(self) -> None:
        """Receive no more: aiohttp has enough."""
        self._paused = True
        self._transport.pause_reading()

    def resume(self) -> None:
        """Receive again."""
        self._paused = False
        self._read_on()

    def drop(self) -> None:
        """Drop what was not handed over: the connection is closed."""
        self._piece = b""
        if self._turn is not None:
            self._turn.cancel()

    def close(self) -> None:
        """Close the connection; what the client is just sending is read, and dropped."""
        if self._transport.is_closing() or self.is_closing:
            return
        self.is_closing = True
        is_all_read = not (self._piece or self._has_unread())
        self.drop()
        if is_all_read:
            self._transport.close()
            return
        self._linger_bytes = LINGER_BYTES
        self._transport.write_eof()
        self._transport.resume_reading()
        self._loop.call_later(LINGER_SECONDS, self._transport.abort)

    def _go_on(self) -> None:
        """Let aiohttp have what follows a request: the next piece, or what it keeps itself."""
        if self._piece:
            self._offer()
        elif not (self._is_under_way or self.is_closing or self._transport.is_closing()):
            # It stops after some requests, and would go on by itself with the next piece only.
            self._give(b"")

    def _offer(self) -> None:
        """Hand the piece over now, in turn, or after the request that is under way."""
        if not self._piece or self._turn is not None or self._is_next_request():
            return
        self._turn = self._share.turn(self._owner)
        if self._turn is None:
            self._hand_over()
        else:
            self._turn.add_done_callback(self._begin_turn)

    def _begin_turn(self, turn: asyncio.Future[None]) -> None:
        self._turn = None
        if not turn.cancelled():
            self._hand_over()

    def _hand_over(self) -> None:
        piece, self._piece = self._piece, b""
        if not self._is_of_body():
            self._head_bytes += len(piece)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse_head()
            return
        self._give(piece)
        # In the next turn of the loop, by which a request whose head is complete has begun.
        self._loop.call_soon(self._read_on)

    def _give(self, piece: bytes) -> None:
        began = time.perf_counter()
        self._receive(piece)
        self._share.spend(self._owner, time.perf_counter() - began)

    def _read_on(self) -> None:
        if not (self._piece or self._paused or self._transport.is_closing()):
            self._transport.resume_reading()

    def _has_unread(self) -> bool:
        poll = select.poll()
        poll.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def _is_of_body(self) -> bool:
        return self._body is not None and not self._body.is_eof()

    def _is_next_request(self) -> bool:
        return self._is_under_way and not self._is_of_body()


class PacedTransport:
    """The transport of a connection as aiohttp sees it: it pauses, resumes, closes a PacedInput."""

    def __init__(self, transport: asyncio.Transport, paced_input: PacedInput) -> None:
        self._transport = transport
        self._input = paced_input

    @classmethod
    def of(cls, transport: asyncio.Transport, paced_input: PacedInput) -> asyncio.Transport:
        """One that passes for a transport of asyncio, which uvloop's do not inherit from."""
        return cast("asyncio.Transport", cls(transport, paced_input))

    def pause_reading(self) -> None:
        """Receive no more."""
        self._input.pause()

    def resume_reading(self) -> None:
        """Receive again."""
        self._input.resume()

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._input.is_closing or self._transport.is_closing()

    def close(self) -> None:
        """Close the connection once everything is sent."""
        self._input.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
