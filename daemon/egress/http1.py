"""
HTTP/1.1 with one receiver: a request's bytes out, an answer back, and a bound on all that comes.

It believes nothing: what a receiver says unasked, too long, too late or wrongly ends the
connection, never the process.
"""

import asyncio
import select
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import httptools

BODY_KEPT = 16 * 1024
# Interim answers, status line and headers together. Servers' own limits lie at 8 to 32 KiB.
HEAD_LIMIT = 64 * 1024
# With the framing of a body that we keep whole: chunk sizes, extensions, trailers.
WIRE_LIMIT = HEAD_LIMIT + 4 * BODY_KEPT
# Headers, chunks, interim answers: each costs us a call, however few its bytes. Without this bound
# a hundred receivers that answer in crumbs could hold the loop for half a second.
PIECES_LIMIT = 1000

CLOSED_EARLY = "the receiver closed the connection without an answer"
CLOSED_MIDWAY = "the receiver closed the connection in the middle of its answer"
NOT_HTTP = "the receiver's answer is not valid HTTP"
OTHER_PROTOCOL = "the receiver switched to another protocol"
ENDLESS_HEAD = "the head of the receiver's answer is too long"


class ExchangeError(Exception):
    """
    No answer; `str()` is for the customer.

    `heard` says that bytes had come back, `broken` that they were not HTTP.
    """

    def __init__(self, message: str, *, heard: bool, broken: bool = False) -> None:
        super().__init__(message)
        self.heard = heard
        self.broken = broken


@dataclass(frozen=True, slots=True)
class RawAnswer:
    """What came back, as bytes; `reusable` says that the connection may carry another request."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    truncated: bool
    reusable: bool


class Exchange:
    """One request's answer as it comes in; `answer` is done when it is whole, or cannot be."""

    __slots__ = (
        "_body", "_head_done", "_headers", "_parser", "_pieces", "_status", "_until_eof", "_wire",
        "answer", "spoilt", "truncated", "whole",
    )  # fmt: skip

    def __init__(self, answer: asyncio.Future["Exchange"]) -> None:
        self.answer = answer
        self.whole = False
        self.truncated = False
        self.spoilt = False  # nothing may follow on this connection
        self._parser = httptools.HttpResponseParser(self)
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_done = False
        self._until_eof = False
        self._status = 0
        self._body = bytearray()
        self._wire = 0
        self._pieces = 0

    def feed(self, data: bytes) -> None:
        """Take what came in, up to the bound."""
        room = (WIRE_LIMIT if self._head_done else HEAD_LIMIT) - self._wire
        self._wire += len(data)
        try:
            self._parser.feed_data(data[:room] if len(data) > room else data)
        except httptools.HttpParserUpgrade:
            self._fail(OTHER_PROTOCOL, broken=True)
        except httptools.HttpParserError:
            self.spoilt = True  # after a whole answer that is only a reason not to go on
            if self._pieces < PIECES_LIMIT:
                self._fail(NOT_HTTP, broken=True)
        if self.whole or self.truncated:
            self._finish()
        elif len(data) >= room or self._pieces >= PIECES_LIMIT:
            self._overflow()

    def end(self, *, reset: bool = False) -> None:
        """Nothing more will come; after a `reset` not even an answer that ends with the stream."""
        self.spoilt = True
        if self._head_done and self._until_eof and not reset:
            self._finish()
        else:
            self._fail(CLOSED_MIDWAY if self._wire else CLOSED_EARLY)

    def result(self, *, reusable: bool) -> RawAnswer:
        headers, body = tuple(self._headers), bytes(self._body)
        return RawAnswer(self._status, headers, body, self.truncated, reusable)

    def expire(self) -> None:
        """The deadline has come."""
        if not self.answer.done():
            self.answer.set_exception(TimeoutError())

    def refuse(self, message: str) -> None:
        """What comes is not worth reading."""
        self.spoilt = True
        self._fail(message, broken=True)

    # What the parser tells.

    def on_message_begin(self) -> None:
        if self.whole:
            raise httptools.HttpParserError("a second answer to one request")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count()
        if not self._head_done:  # trailers are not kept
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 100:
            raise httptools.HttpParserError("no such class of status")
        if self._head_done or status < 200:
            return  # of a second answer, or an interim one that the real one follows
        self._status = status
        self._head_done = True
        self._until_eof = not _framed(self._headers)

    def on_body(self, data: bytes) -> None:
        self._count()
        if not self._head_done or self.whole or self.truncated:
            return  # of an interim answer, a second one, or beyond what is kept
        room = BODY_KEPT - len(self._body)
        self._body += data[:room]
        self.truncated = len(data) > room

    def on_message_complete(self) -> None:
        self._count()
        if not self._head_done:
            self._headers.clear()
        elif not self.whole:
            self.whole = True
            self.spoilt = self.spoilt or not self._parser.should_keep_alive()

    def _count(self) -> None:
        self._pieces += 1
        if self._pieces >= PIECES_LIMIT:
            raise httptools.HttpParserError("too many pieces")

    def _overflow(self) -> None:
        if self._head_done:
            self.truncated = True
            self._finish()
        else:
            self._fail(ENDLESS_HEAD, broken=True)

    def _finish(self) -> None:
        if not self.answer.done():
            self.answer.set_result(self)

    def _fail(self, message: str, *, broken: bool = False) -> None:
        if not (self.whole or self.truncated or self.answer.done()):
            heard = self._wire > 0
            self.answer.set_exception(ExchangeError(message, heard=heard, broken=broken))


def _framed(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether they tell where the body ends. (RFC 9112, section 6.3: the last coding decides.)"""
    framed = False
    for name, value in headers:
        match name.lower():
            case b"content-length":
                framed = True
            case b"transfer-encoding":
                framed = value.lower().rpartition(b",")[2].strip() == b"chunked"
    return framed


class Connection(asyncio.Protocol):
    """A connection to a receiver; it carries one exchange after another."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._unread = select.poll()
        self._exchange: Exchange | None = None

    @property
    def usable(self) -> bool:
        """
        Whether a request may be sent here.

        The operating system is asked too: what came unasked and nobody has read yet, an end or
        bytes that would pass for the next answer, speaks against it.
        """
        return (
            self._transport is not None
            and not self._transport.is_closing()
            and not self._unread.poll(0)
        )

    async def ask(self, request: bytes, *, deadline: float) -> RawAnswer:
        """
        Send a request's bytes and wait for the answer; again only after one that was `reusable`.

        `deadline` is on the loop's clock. Raises ExchangeError, or TimeoutError at the deadline;
        then, and when it is cancelled, the connection is closed.
        """
        if self._transport is None or self._transport.is_closing():
            raise ExchangeError(CLOSED_EARLY, heard=False)
        exchange = Exchange(self._loop.create_future())
        self._exchange = exchange
        # A timer of the loop's own: asyncio.timeout would cost a tenth of the whole exchange.
        timer = self._loop.call_at(deadline, exchange.expire)
        self._transport.write(request)
        try:
            await exchange.answer
        except (asyncio.CancelledError, TimeoutError):
            self.close()
            raise
        finally:
            timer.cancel()
        return exchange.result(reusable=self._may_go_on(exchange))

    def close(self) -> None:
        """End the connection at once: a receiver that does not read must not hold our memory."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._unread.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def data_received(self, data: bytes) -> None:
        if self._exchange is None or self._exchange.answer.done():
            # Unasked. Were the connection kept, this would be read as the next request's answer.
            self.close()
        else:
            self._exchange.feed(data)

    def eof_received(self) -> None:
        if self._exchange is not None:
            self._exchange.end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._exchange is not None:
            self._exchange.end(reset=exc is not None)

    def overwhelmed(self, message: str) -> None:
        """More has come than any answer takes, and it was none."""
        if self._exchange is not None:
            self._exchange.refuse(message)

    def _may_go_on(self, exchange: Exchange) -> bool:
        return (
            exchange.whole
            and not exchange.spoilt
            and self._transport is not None
            and not self._transport.is_closing()
            and self._transport.get_write_buffer_size() == 0  # it answered before we had finished
        )
