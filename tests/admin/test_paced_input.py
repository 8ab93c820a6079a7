"""What a client sends is received in small pieces, in turn, and no further than a request."""

import asyncio
import json
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from daemon.admin.server import paced_input
from daemon.admin.server.paced_input import (
    MAX_HEAD_BYTES,
    PIECE_BYTES,
    PacedInput,
    PacedTransport,
)
from daemon.runtime.loop_share import LoopShare
from tests.support.api_client import ApiClient
from tests.support.daemons import until
from tests.support.raw_http import HEALTH, RawClient, connected, post_head

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Transport(asyncio.Transport):
    """One that notes whether it reads, and is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = True
        self.closed = False

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def is_closing(self) -> bool:
        return self.closed


class Body:
    """The body of a request, of which something is missing until it is `complete`."""

    def __init__(self, *, complete: bool) -> None:
        self.complete = complete

    def is_eof(self) -> bool:
        return self.complete


class Connection:
    """A PacedInput, and what it handed over."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.refusals = 0
        self.transport = Transport()
        self.share = LoopShare(paced_input.INPUT_SHARE)
        self.input = PacedInput(
            self.transport,
            receive=self.received.append,
            refuse_head=self._refuse,
            share=self.share,
            owner="peer",
        )

    def _refuse(self) -> None:
        self.refusals += 1


async def test_the_next_piece_is_read_in_a_later_turn_of_the_loop() -> None:
    connection = Connection()

    connection.input.take(b"GET / HT")
    at_once = connection.transport.reads
    await asyncio.sleep(0)

    assert connection.received == [b"GET / HT"]
    assert (at_once, connection.transport.reads) == (False, True)


async def test_what_follows_a_request_waits_for_its_response() -> None:
    connection = Connection()
    connection.input.begin(Body(complete=True))

    connection.input.take(b"the next request")
    await asyncio.sleep(0)
    before = list(connection.received)
    connection.input.end()
    await until(lambda: connection.transport.reads)

    assert (before, connection.received) == ([], [b"the next request"])


async def test_a_body_is_received_while_its_request_is_under_way() -> None:
    connection = Connection()
    connection.input.begin(Body(complete=False))

    for _ in range(2 * MAX_HEAD_BYTES // PIECE_BYTES):
        connection.input.take(b"x" * PIECE_BYTES)
        await until(lambda: connection.transport.reads)

    assert sum(map(len, connection.received)) == 2 * MAX_HEAD_BYTES
    assert not connection.refusals


async def test_the_rest_of_a_body_after_the_response_is_no_head() -> None:
    connection = Connection()
    body = Body(complete=False)
    connection.input.begin(body)
    connection.input.end()

    for _ in range(2 * MAX_HEAD_BYTES // PIECE_BYTES):
        connection.input.take(b"x" * PIECE_BYTES)
        await until(lambda: connection.transport.reads)

    assert not connection.refusals


async def test_a_head_that_does_not_end_is_refused() -> None:
    connection = Connection()

    for _ in range(MAX_HEAD_BYTES // PIECE_BYTES):
        connection.input.take(b"x" * PIECE_BYTES)
        await until(lambda: connection.transport.reads)
    before = connection.refusals
    connection.input.take(b"x")

    assert (before, connection.refusals) == (0, 1)
    assert sum(map(len, connection.received)) == MAX_HEAD_BYTES


async def test_a_piece_waits_until_the_share_is_paid_for() -> None:
    connection = Connection()
    connection.share.spend("another peer", 0.02)

    connection.input.take(b"GET / HT")
    at_once = list(connection.received)
    await until(lambda: connection.transport.reads)

    assert (at_once, connection.received) == ([], [b"GET / HT"])


async def test_a_piece_that_waits_is_dropped_with_its_connection() -> None:
    connection = Connection()
    connection.share.spend("another peer", 0.01)
    connection.input.take(b"GET / HT")

    connection.input.drop()
    other = asyncio.get_running_loop().create_future()
    turn = connection.share.turn("another peer")
    assert turn is not None
    turn.add_done_callback(other.set_result)
    await other

    assert connection.received == []


async def test_aiohttp_pauses_and_resumes_the_input() -> None:
    connection = Connection()
    seen = PacedTransport.of(connection.transport, connection.input)

    seen.pause_reading()
    connection.input.take(b"x")  # read before
    await asyncio.sleep(0)
    paused = connection.transport.reads
    seen.resume_reading()

    assert (paused, connection.transport.reads) == (False, True)


def chunked(head: bytes, chunk: bytes, count: int) -> bytes:
    """A request with a chunked body: a JSON object with white space before it."""
    head = head.replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    return head + chunk * count + b"2\r\n{}\r\n0\r\n\r\n"


@pytest.fixture
def tenant(shared_api: ApiClient) -> UUID:
    return UUID(shared_api.headers["X-Tenant-ID"])


@pytest.mark.parametrize(
    "chunk", [b"1\r\n \r\n", b"1;name=value\r\n \r\n", b"40\r\n" + b" " * 64 + b"\r\n"]
)
async def test_a_body_in_chunks_is_parsed_in_pieces(
    shared_api: ApiClient, tenant: UUID, monkeypatch: pytest.MonkeyPatch, chunk: bytes
) -> None:
    sizes: list[int] = []
    take = PacedInput.take

    def noting(self: PacedInput, piece: bytes) -> None:
        sizes.append(len(piece))
        take(self, piece)

    monkeypatch.setattr(PacedInput, "take", noting)
    request = chunked(post_head(tenant, 0), chunk, 20_000 // len(chunk))
    async with connected(shared_api) as client:
        status = await client.ask(request)

    assert status == 422  # an object without a name is no webhook
    assert sum(sizes) == len(request)
    assert max(sizes) <= PIECE_BYTES


async def test_a_large_body_arrives_whole(shared_api: ApiClient, tenant: UUID) -> None:
    body = json.dumps({"name": "x", "description": "y" * 900_000}).encode()
    async with connected(shared_api) as client:
        assert await client.ask(post_head(tenant, len(body)) + body) == 422
        assert await client.ask(HEALTH) == 200


async def test_requests_sent_at_once_are_answered_in_order(
    shared_api: ApiClient, tenant: UUID
) -> None:
    body = b" " * 2 * PIECE_BYTES + b"{}"
    async with connected(shared_api) as client:
        client.send((HEALTH * 40 + post_head(tenant, len(body)) + body) * 3)
        statuses = [await client.status() for _ in range(123)]

    assert statuses == ([200] * 40 + [422]) * 3


async def test_a_head_is_refused_by_its_size_in_all(shared_api: ApiClient) -> None:
    header = b"X-%d: " + b"x" * 7000 + b"\r\n"
    small, large = (b"".join(header % each for each in range(count)) for count in (4, 100))
    async with connected(shared_api) as client:
        assert await client.ask(HEALTH[:-2] + small + b"\r\n") == 200
        client.send(HEALTH[:-2] + large + b"\r\n")
        answer = await client.read_to_end()

    assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    problem = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert problem["error"] == "the head of the request is larger than 32 KiB"


async def test_a_response_before_the_body_is_read_reaches_the_client(
    shared_api: ApiClient,
) -> None:
    length = 300_000
    host = urlsplit(shared_api.url("/")).netloc
    head = f"POST /nowhere HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n\r\n"
    async with connected(shared_api) as client:
        assert await client.ask(head.encode() + b"x" * length) == 404
        assert await client.ask(HEALTH) == 200


async def test_probes_of_one_client_leave_a_turn_to_those_of_another(
    shared_api: ApiClient,
) -> None:
    # Ten seconds' worth of the share.
    requests = round(10 * paced_input.INPUT_SHARE / paced_input.REQUEST_SECONDS)
    async with connected(shared_api) as flooding, connected(shared_api, source="127.0.0.2") as own:
        flooding.send(HEALTH * requests)
        status = await own.ask(HEALTH)
        answered = await drained(flooding)

    assert status == 200
    assert answered < requests


async def drained(client: RawClient) -> int:
    """How many responses have arrived by now."""
    received = b""
    try:
        async with asyncio.timeout(0.01):
            while data := await client.reader.read(1 << 20):
                received += data
    except TimeoutError:
        pass
    return received.count(b"HTTP/1.1 200 OK")
