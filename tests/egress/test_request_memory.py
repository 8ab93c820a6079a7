"""What a request keeps in memory for as long as its receiver lets it wait, and what it does not."""

import asyncio
import socket
import ssl
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
import uvloop

from daemon.core.model.attempts import LONGEST_HEADER_VALUE, Request
from daemon.egress.http_messages import response_of
from daemon.egress.known_heads import KnownHeads
from daemon.egress.response_parser import MAX_HEADERS, ResponseParser
from daemon.egress.response_reader import RawResponse, ResponseReader
from daemon.egress.tls_records import MAX_RECORD_BYTES
from daemon.egress.tls_session import TlsSession
from tests.support.certificates import Authority
from tests.support.client import webhook_client

STATUS = b"HTTP/1.1 200 OK\r\n"
LONG_HEAD = STATUS + b"".join(b"h%03d: %b\r\n" % (number, b"x" * 50) for number in range(990))
BODY_BYTES = 4_000_000
REQUESTS = 4


@contextmanager
def measured() -> Iterator[list[int]]:
    """Yield a list that gets the bytes that were allocated in the block and are not yet freed."""
    taken: list[int] = []
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield taken
        taken.append(tracemalloc.get_traced_memory()[0] - before)
    finally:
        tracemalloc.stop()


def read_all(wire: bytes, *, piece: int = 65_536) -> RawResponse:
    """Return the response that these bytes are, however they arrive."""
    ended: list[Exception | None] = []
    reader = ResponseReader(ended.append)
    for start in range(0, len(wire), piece):
        reader.feed(wire[start : start + piece])
    assert ended == [None]
    return reader.result(reusable=reader.keep_alive)


@pytest.mark.parametrize("end", [b"", b"Content-Length: 9\r\n\r\nx"], ids=["head", "body"])
@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 103 Early Hints\r\nX: 1\r\n\r\n"])
def test_a_response_that_does_not_end_keeps_no_more_headers_than_are_stored(
    before: bytes, end: bytes
) -> None:
    readers = [ResponseReader(lambda _: None) for _ in range(10)]
    with measured() as taken:
        for reader in readers:
            reader.feed(before + LONG_HEAD + end)

    assert not any(reader.done for reader in readers)
    assert taken[0] / len(readers) < 32_000  # 184,000 if all were kept


@pytest.mark.parametrize("piece", [65_536, 1000, 1])
def test_the_largest_honest_head_is_stored_as_far_as_there_is_room(piece: int) -> None:
    policy = b"default-src 'self'; " * 300
    cookies = [b"Set-Cookie: session%d=%b; Secure" % (n, b"c" * 700) for n in range(30)]
    wire = b"\r\n".join([
        b"HTTP/1.1 200 OK", b"Content-Security-Policy: " + policy, *cookies, b"Retry-After: 7",
        "X-Name: Jürgen €".encode(), b"X-Old: J\xfcrgen", b"Content-Length: 2", b"", b"OK",
    ])  # fmt: skip
    raw = read_all(wire, piece=piece)
    response = response_of(raw)

    assert len(wire) > 28_000
    assert raw.reusable
    assert (response.status, response.body, response.truncated) == (200, "OK", False)
    assert response.headers == (
        ("content-security-policy", policy.decode()[:LONGEST_HEADER_VALUE]),
        *(("set-cookie", each.decode().partition(": ")[2]) for each in cookies[:19]),
        ("retry-after", "7"),
        ("x-name", "Jürgen €"),
        ("x-old", "Jürgen"),
        ("content-length", "2"),
    )


@pytest.mark.parametrize(
    ("last", "body", "reusable"),
    [
        (b"Content-Length: 2\r\n", b"OK", True),
        (b"Transfer-Encoding: chunked\r\n", b"2\r\nOK\r\n0\r\n\r\n", True),
        (b"Content-Length: 2\r\nConnection: close\r\n", b"OK", False),
    ],
)
def test_headers_beyond_those_that_are_stored_are_obeyed(
    last: bytes, body: bytes, *, reusable: bool
) -> None:
    raw = read_all(LONG_HEAD + last + b"\r\n" + body)

    assert (raw.status, raw.body, raw.reusable) == (200, b"OK", reusable)
    assert len(raw.headers) == MAX_HEADERS


@pytest.mark.parametrize(("count", "known"), [(MAX_HEADERS - 2, True), (MAX_HEADERS, False)])
def test_a_head_of_which_something_was_left_out_is_not_remembered(
    count: int, *, known: bool
) -> None:
    wire = STATUS + b"Content-Length: 2\r\n" + b"a:\r\n" * count + b"\r\nOK"
    parser, heads = ResponseParser(), KnownHeads()
    parser.feed(wire)
    heads.remember(wire, parser)

    assert (heads.find(wire) is not None) == known


def test_a_large_body_is_not_copied_for_a_receiver_that_does_not_read() -> None:
    bodies = [bytes([65 + number]) * BODY_BYTES for number in range(REQUESTS)]
    taken = uvloop.run(taken_beside(bodies, reads=False))

    assert taken < BODY_BYTES  # REQUESTS times as much if each was copied


def test_a_request_is_not_kept_as_it_was_sent_while_its_response_is_awaited() -> None:
    bodies = [bytes([65 + number]) * 16_000 for number in range(100)]
    taken = uvloop.run(taken_beside(bodies, reads=True))

    assert taken / len(bodies) < 14_000  # 25,000 if each was kept


async def taken_beside(bodies: list[bytes], *, reads: bool) -> int:
    """Return what requests with these bodies take beside them while no response comes."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0), backlog=len(bodies)) as server:
        server.setblocking(False)
        async with webhook_client(seconds=30.0) as client:
            with measured() as taken:
                tasks = [
                    loop.create_task(client.send(Request(url_of(server, number), "", body)))
                    for number, body in enumerate(bodies)
                ]
                accepted = [(await loop.sock_accept(server))[0] for _ in bodies]
                for each in accepted:
                    await received(each, bodies if reads else [])
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for each in accepted:
                each.close()
    return taken[0]


def url_of(server: socket.socket, number: int) -> str:
    return f"http://127.0.0.1:{server.getsockname()[1]}/{number}"


async def received(connection: socket.socket, bodies: list[bytes]) -> None:
    """Receive a request with one of the bodies, all of which are as long; its beginning if none."""
    connection.setblocking(False)
    left = len(bodies[0]) if bodies else 1
    while left > 0:
        left -= len(await asyncio.get_running_loop().sock_recv(connection, 65_536))


def test_a_large_request_over_tls_is_encrypted_record_by_record() -> None:
    authority = Authority()
    session = TlsSession(authority.trusted(), "receiver.test")
    receiver = TlsReceiver(authority.server("receiver.test"))
    parts = [b"the head", b"x" * 300_000, b"the end"]
    receiver.shake_hands(session)

    session.queue(parts)
    assert session.unsent_bytes == sum(map(len, parts))
    session.flush()
    records = session.records_to_send()

    # OpenSSL's buffer never shrinks: it keeps as much as it once held.
    assert max(map(len, records)) <= MAX_RECORD_BYTES
    assert receiver.plaintext(records) == b"".join(parts)
    assert session.unsent_bytes == 0
    assert session.records_to_send() == []


class TlsReceiver:
    """The other side of a TlsSession."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def shake_hands(self, session: TlsSession) -> None:
        """Complete the handshake of both sides."""
        for _ in range(2):
            with suppress(ssl.SSLWantReadError):
                session.handshake()
            self._incoming.write(b"".join(session.records_to_send()))
            with suppress(ssl.SSLWantReadError):
                self._tls.do_handshake()
            for record in session.records(self._outgoing.read()):
                session.receive(record)
        session.complete_handshake()

    def plaintext(self, records: list[bytes]) -> bytes:
        """Return what the records carry."""
        self._incoming.write(b"".join(records))
        found = bytearray()
        with suppress(ssl.SSLWantReadError):
            while data := self._tls.read(65_536):
                found += data
        return bytes(found)
