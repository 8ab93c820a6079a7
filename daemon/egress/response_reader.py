"""
One response, read from a connection within limits.

Rule: a receiver is untrusted. Too many bytes, too many pieces, invalid bytes and a premature end
all end the response, never the process.
"""

from collections.abc import Callable

import httptools

from daemon.core.model.value import value
from daemon.egress.known_heads import KNOWN_HEADS, KnownHead
from daemon.egress.long_responses import ORDINARY_BYTES, OwnLongResponses
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
    TimeoutError when it has failed. While it is unfinished, it is counted with its tenant's `long`
    ones.
    """

    __slots__ = (
        "_ended", "_known", "_line_bytes", "_long", "_parser", "done", "keep_alive",
        "received_bytes",
    )  # fmt: skip

    def __init__(
        self, ended: Callable[[Exception | None], None], *, long: OwnLongResponses | None = None
    ) -> None:
        self.done = False
        self.keep_alive = False  # whether it is complete, and another response may follow
        self.received_bytes = 0
        self._ended: Callable[[Exception | None], None] | None = ended
        self._long = long
        self._line_bytes = 0  # of the head's last line, while it has not ended
        self._known: tuple[KnownHead, bytes] | None = None
        self._parser: ResponseParser | None = None  # made for what is not known

    @property
    def complete(self) -> bool:
        """Whether it was received to its end."""
        return self._known is not None or (self._parser is not None and self._parser.complete)

    def feed(self, data: bytes) -> None:
        """Read more of the response, up to the limit on its size; nothing once it is done."""
        if self.done:
            return
        if self._parser is not None:
            self._parse(self._parser, data)
        elif known := KNOWN_HEADS.find(data):
            self._known = known
            self.keep_alive = True
            self.received_bytes = len(data)
            self._end(None)
        else:
            parser = self._parser = ResponseParser()
            self._parse(parser, data)
            if self.keep_alive:
                KNOWN_HEADS.remember(data, parser)

    def _parse(self, parser: ResponseParser, data: bytes) -> None:
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
            self.keep_alive = parser.complete and parser.keep_alive
            self._end(None)
        elif len(data) >= room or parser.too_many_pieces:
            self._exceed_limit(parser)
        elif self._long is not None:
            self._count_kept(self._long, parser, data)

    def end(self, *, reset: bool = False) -> None:
        """
        End the response with the connection.

        RFC 9112, section 8: after a `reset`, not even a response without a declared length counts
        as complete.
        """
        self.keep_alive = False
        parser = self._parser
        if (
            parser is not None
            and parser.head_complete
            and parser.ends_with_connection
            and not reset
        ):
            self._end(None)
        else:
            self._fail(INCOMPLETE_RESPONSE if self.received_bytes else NO_RESPONSE, ResponseError)

    def expire(self) -> None:
        """End the response with a TimeoutError: the deadline has passed."""
        self._end(TimeoutError())

    def reject(self, message: str) -> None:
        """End the response because no more of it may be read."""
        self.keep_alive = False
        self._fail(message, InvalidResponseError)

    def result(self, *, reusable: bool) -> RawResponse:
        """Return the response, once it is complete or truncated."""
        if self._known is not None:
            head, body = self._known
            return RawResponse(head.status, head.headers, body, truncated=False, reusable=reusable)
        parser = self._parser
        assert parser is not None
        headers, body = tuple(parser.headers), bytes(parser.body)
        return RawResponse(parser.status, headers, body, parser.truncated, reusable)

    def _count_kept(self, long: OwnLongResponses, parser: ResponseParser, data: bytes) -> None:
        """Count what is kept: the last line of a head whole until it ends, however long it is."""
        line = 0
        if not parser.head_complete:
            end = data.rfind(b"\n")
            line = len(data) - end - 1 if end >= 0 else self._line_bytes + len(data)
        self._line_bytes = line
        long.note(self.reject, parser.kept_bytes + line)

    def _exceed_limit(self, parser: ResponseParser) -> None:
        if parser.head_complete:
            parser.truncated = True
            self._end(None)
        else:
            self._fail(HEAD_TOO_LARGE, InvalidResponseError)

    def _fail(self, message: str, kind: type[ResponseError]) -> None:
        parser = self._parser
        if parser is None or not (parser.complete or parser.truncated):
            self._end(kind(message, response_started=self.received_bytes > 0))

    def _end(self, error: Exception | None) -> None:
        if self._ended is None:
            return
        # Objects that refer to each other would be left to the garbage collector.
        ended, self._ended = self._ended, None
        self.done = True
        if self._parser is not None:
            self._parser.close()
        if self._long is not None and self.received_bytes > ORDINARY_BYTES:
            self._long.forget(self.reject)
        ended(error)
