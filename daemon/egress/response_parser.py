"""
The parts of one HTTP/1.1 response, collected as httptools finds them.

Interim responses, trailers, and whatever lies beyond the kept part of the head and of the body are
dropped at once: a thousand receivers may let us wait in the middle of a response.
"""

import httptools

from daemon.core.model.attempts import LONGEST_HEADER_VALUE

MAX_HEADERS = 100
MAX_HEADERS_LENGTH = 16 * 1024  # characters of names and values; larger ones are left out
MAX_BODY_BYTES = 16 * 1024
# Each header, chunk and interim response costs a call, however few its bytes. Without this limit,
# a hundred receivers that respond in tiny pieces could block the loop for half a second.
MAX_PIECES = 1000


class ResponseParser:
    """
    Parses the response to one request.

    `complete` is set at its end, `truncated` as soon as the body exceeds MAX_BODY_BYTES, and
    `keep_alive` is unset when no other response may follow on the connection. `headers` are those
    of the first MAX_HEADERS that fit into MAX_HEADERS_LENGTH, values cut off.
    """

    __slots__ = (
        "_header_bytes", "_header_count", "_http", "_pieces", "_room", "body", "complete",
        "ends_with_connection", "head_complete", "headers", "keep_alive", "status", "truncated",
    )  # fmt: skip

    def __init__(self) -> None:
        self.complete = False
        self.truncated = False
        self.keep_alive = True
        self.head_complete = False
        self.status = 0
        self.body = bytearray()
        self._begin_head()
        self._pieces = 0
        self._http: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)

    @property
    def too_many_pieces(self) -> bool:
        """Whether MAX_PIECES is reached: parsing ends there."""
        return self._pieces >= MAX_PIECES

    @property
    def kept_bytes(self) -> int:
        """How much is kept of complete headers and of the body."""
        return self._header_bytes + len(self.body)

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
        if self.head_complete:
            return  # trailers are dropped
        match name.lower():
            case b"content-length":
                self.ends_with_connection = False
            case b"transfer-encoding":  # RFC 9112, 6.3: the last coding decides
                coding = value.lower().rpartition(b",")[2].strip()
                self.ends_with_connection = coding != b"chunked"
        self._header_count += 1
        if self._header_count <= MAX_HEADERS:
            self._keep_header(name, value)

    def on_headers_complete(self) -> None:
        assert self._http is not None
        status = self._http.get_status_code()
        if status < 100:
            raise httptools.HttpParserError("a status code below 100")
        if self.head_complete or status < 200:
            return  # of a second response, or an interim one that the final one follows
        self.status = status
        self.head_complete = True

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
            self._begin_head()  # that was an interim response
        elif not self.complete:
            assert self._http is not None
            self.complete = True
            self.keep_alive = self.keep_alive and self._http.should_keep_alive()

    def _begin_head(self) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        self.ends_with_connection = True  # unless a header says where the body ends
        self._header_count = 0
        self._header_bytes = 0
        self._room = MAX_HEADERS_LENGTH

    def _keep_header(self, name: bytes, value: bytes) -> None:
        if len(value) > LONGEST_HEADER_VALUE:
            value = storable(value)[:LONGEST_HEADER_VALUE].encode()
        length = len(name) + (len(value) if value.isascii() else len(storable(value)))
        if length <= self._room:
            self._room -= length
            self._header_bytes += len(name) + len(value)
            self.headers.append((name, value))

    def _count_piece(self) -> None:
        self._pieces += 1
        if self._pieces >= MAX_PIECES:
            raise httptools.HttpParserError("too many pieces")


def storable(text: bytes) -> str:
    """Header bytes as text without NUL or surrogates, read as UTF-8 or else as Latin-1."""
    try:
        return text.decode("utf-8").replace("\x00", "\ufffd")
    except UnicodeDecodeError:
        return text.decode("latin-1").replace("\x00", "\ufffd")
