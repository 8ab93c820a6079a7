"""
One response, read from a connection within limits.

Rule: a receiver is untrusted. Too many bytes, too many pieces, invalid bytes and a premature end
all end the response, never the process.
"""

from collections.abc import Callable

import httptools

from daemon.core.model.value import value
from daemon.egress.response_parser import MAX_BODY_BYTES, ResponseParser

# Interim responses, status line and headers together. Servers' own limits are 8 to 32 KiB.
MAX_HEAD_BYTES = 64 * 1024
# Includes the framing of a body that is kept whole: chunk sizes, extensions, trailers.
MAX_RESPONSE_BYTES = MAX_HEAD_BYTES + 4 * MAX_BODY_BYTES

NO_RESPONSE = "the receiver closed the connection without a response"
INCOMPLETE_RESPONSE = "the receiver closed the connection in the middle of its response"
INVALID_HTTP = "the receiver's response is not valid HTTP"
SWITCHED_PROTOCOLS = "the receiver switched to another protocol; it must respond in HTTP/1.1"
HEAD_TOO_LARGE = "the head of the receiver's response exceeds 64 KiB or 1000 headers"


class ResponseError(Exception):
    """
    The connection ended before the response did; `str()` is the message for the customer.

    `response_started` says whether any byte of a response was received.
    """

    def __init__(self, message: str, *, response_started: bool) -> None:
        super().__init__(message)
        self.response_started = response_started


class InvalidResponseError(ResponseError):
    """The receiver sent something other than an HTTP response within the limits."""


@value(frozen=True, slots=True)
class RawResponse:
    """A response as bytes; `reusable`: the connection may carry another request."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    truncated: bool
    reusable: bool


class ResponseReader:
    """
    Reads one response; then it is `done`, and has called `ended`.

    `received_bytes` counts the bytes so far.
    `ended` gets None when the response is complete or truncated, and a ResponseError or a
    TimeoutError when it has failed.
    """

    __slots__ = ("_ended", "_parser", "done", "received_bytes")

    def __init__(self, ended: Callable[[Exception | None], None]) -> None:
        self.done = False
        self._ended: Callable[[Exception | None], None] | None = ended
        self._parser = ResponseParser()
        self.received_bytes = 0

    @property
    def keep_alive(self) -> bool:
        """Whether the response is complete and another one may follow on the connection."""
        return self._parser.complete and self._parser.keep_alive

    def feed(self, data: bytes) -> None:
        """Read more of the response, up to the limit on its size; nothing once it is done."""
        if self.done:
            return
        parser = self._parser
        limit = MAX_RESPONSE_BYTES if parser.head_complete else MAX_HEAD_BYTES
        room = limit - self.received_bytes
        self.received_bytes += len(data)
        try:
            parser.feed(data[:room] if len(data) > room else data)
        except httptools.HttpParserUpgrade:
            self._fail(SWITCHED_PROTOCOLS, InvalidResponseError)
        except httptools.HttpParserError:
            # After a complete response this only prevents another use of the connection.
            parser.keep_alive = False
            if not parser.too_many_pieces:
                self._fail(INVALID_HTTP, InvalidResponseError)
        if parser.complete or parser.truncated:
            self._end(None)
        elif len(data) >= room or parser.too_many_pieces:
            self._exceed_limit()

    def end(self, *, reset: bool = False) -> None:
        """
        End the response with the connection.

        RFC 9112, section 8: after a `reset`, not even a response without a declared length counts
        as complete.
        """
        self._parser.keep_alive = False
        if self._parser.head_complete and self._parser.ends_with_connection and not reset:
            self._end(None)
        else:
            self._fail(INCOMPLETE_RESPONSE if self.received_bytes else NO_RESPONSE, ResponseError)

    def expire(self) -> None:
        """End the response with a TimeoutError: the deadline has passed."""
        self._end(TimeoutError())

    def reject(self, message: str) -> None:
        """End the response because the connection below refuses to read on."""
        self._parser.keep_alive = False
        self._fail(message, InvalidResponseError)

    def result(self, *, reusable: bool) -> RawResponse:
        """Return the response, once it is complete or truncated."""
        parser = self._parser
        headers, body = tuple(parser.headers), bytes(parser.body)
        return RawResponse(parser.status, headers, body, parser.truncated, reusable)

    def _exceed_limit(self) -> None:
        if self._parser.head_complete:
            self._parser.truncated = True
            self._end(None)
        else:
            self._fail(HEAD_TOO_LARGE, InvalidResponseError)

    def _fail(self, message: str, kind: type[ResponseError]) -> None:
        if not (self._parser.complete or self._parser.truncated):
            self._end(kind(message, response_started=self.received_bytes > 0))

    def _end(self, error: Exception | None) -> None:
        if self._ended is None:
            return
        # What refers to each other would be left to the garbage collector.
        ended, self._ended = self._ended, None
        self.done = True
        self._parser.close()
        ended(error)
