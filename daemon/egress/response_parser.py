"""
The parts of one HTTP/1.1 response, collected as httptools finds them.

Interim responses, trailers, and whatever lies beyond the kept part of the body are dropped.
"""

from collections.abc import Sequence

import httptools

MAX_BODY_BYTES = 16 * 1024
# Each header, chunk and interim response costs a call, however few its bytes. Without this limit,
# a hundred receivers that respond in tiny pieces could block the loop for half a second.
MAX_PIECES = 1000


class ResponseParser:
    """
    Parses the response to one request.

    `complete` is set at its end, `truncated` as soon as the body exceeds MAX_BODY_BYTES, and
    `keep_alive` is unset when no other response may follow on the connection.
    """

    __slots__ = (
        "_http", "_pieces", "body", "complete", "ends_with_connection", "head_complete", "headers",
        "keep_alive", "status", "truncated",
    )  # fmt: skip

    def __init__(self) -> None:
        self.complete = False
        self.truncated = False
        self.keep_alive = True
        self.head_complete = False
        self.ends_with_connection = False
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.body = bytearray()
        self._pieces = 0
        self._http: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)

    @property
    def too_many_pieces(self) -> bool:
        """Whether MAX_PIECES is reached: parsing ends there."""
        return self._pieces >= MAX_PIECES

    def feed(self, data: bytes) -> None:
        """
        Parse more of the response.

        Raises httptools.HttpParserUpgrade when the receiver switches protocols, and
        httptools.HttpParserError for invalid bytes or too many pieces.
        """
        assert self._http is not None
        self._http.feed_data(data)

    def close(self) -> None:
        """End the parsing; what was collected stays."""
        self._http = None  # refers back to us: only the garbage collector would free the two

    def on_message_begin(self) -> None:
        if self.complete:
            raise httptools.HttpParserError("a second response to one request")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_piece()
        if not self.head_complete:  # trailers are dropped
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        assert self._http is not None
        status = self._http.get_status_code()
        if status < 100:
            raise httptools.HttpParserError("a status code below 100")
        if self.head_complete or status < 200:
            return  # of a second response, or an interim one that the final one follows
        self.status = status
        self.head_complete = True
        self.ends_with_connection = not _declares_length(self.headers)

    def on_body(self, data: bytes) -> None:
        self._count_piece()
        if not self.head_complete or self.complete or self.truncated:
            return  # of an interim response, a second one, or beyond the kept part
        room = MAX_BODY_BYTES - len(self.body)
        self.body += data[:room]
        self.truncated = len(data) > room

    def on_message_complete(self) -> None:
        self._count_piece()
        if not self.head_complete:
            self.headers.clear()
        elif not self.complete:
            assert self._http is not None
            self.complete = True
            self.keep_alive = self.keep_alive and self._http.should_keep_alive()

    def _count_piece(self) -> None:
        self._pieces += 1
        if self._pieces >= MAX_PIECES:
            raise httptools.HttpParserError("too many pieces")


def _declares_length(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether the headers say where the body ends (RFC 9112, 6.3: the last coding decides)."""
    declared = False
    for name, value in headers:
        match name.lower():
            case b"content-length":
                declared = True
            case b"transfer-encoding":
                declared = value.lower().rpartition(b",")[2].strip() == b"chunked"
    return declared
