"""A 2xx over https is a success, whatever its size and however many records carry it."""

import json
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from daemon.core.model.attempts import Failure, Outcome, Response
from daemon.egress import client, tls_context
from daemon.egress.loop_budget import LoopBudget
from daemon.egress.response_parser import MAX_BODY_BYTES
from daemon.egress.server_hello import TOO_MANY_RECORDS
from daemon.egress.tls_records import MAX_RECORD_BYTES, RecordSplitter
from daemon.egress.tls_session import MAX_DATA_RECORDS, TlsSession
from daemon.egress.tls_transport import RECORDS_IN_A_PIECE
from tests.egress.forged_records import DATA, shake_hands
from tests.egress.loop_watch import MAX_ITERATION_SECONDS, watched_loop
from tests.support.certificates import Authority
from tests.support.client import FakeResolver, request_to, webhook_client
from tests.support.hostile import Connection, hostile
from tests.support.javascript import node, read_line

RECORD = 16 * 1024
SIZES = [0, 1, RECORD - 400, RECORD - 1, RECORD, RECORD + 1, 20_000, 65_536, 300_000, 5_000_000]
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
@pytest.mark.parametrize("chunked", [False, True], ids=["with a length", "chunked"])
@pytest.mark.parametrize("size", SIZES)
async def test_a_response_of_any_size_is_a_success(
    size: int, chunked: bool, version: ssl.TLSVersion, authority: Authority
) -> None:
    server = authority.server("receiver.test")
    server.minimum_version = server.maximum_version = version
    body = b"x" * size
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
    if chunked:
        body = (b"%x\r\n" % size + body + b"\r\n" if size else b"") + b"0\r\n\r\n"

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + body)
        await connection.wait_closed()

    async with (
        webhook_client(
            tls=authority.trusted(), resolver=FakeResolver(receiver=["127.0.0.1"])
        ) as client,
        hostile(script, tls=server) as receiver,
    ):
        outcome = await client.send(request_to(f"https://receiver.test:{receiver.port}/"))

    assert isinstance(outcome.result, Response), outcome
    assert (outcome.result.status, len(outcome.result.body)) == (200, min(size, MAX_BODY_BYTES))


@pytest.fixture
async def node_port(authority: Authority) -> AsyncIterator[int]:
    certificate, key = authority.server_pem("receiver.test")
    async with node("https_sizes.js", CERT=certificate, KEY=key) as process:
        yield int(json.loads(await read_line(process))["port"])


@pytest.mark.parametrize(
    ("size", "chunks"),
    [(2, 1), (16_384, 1), (100_000, 1), (2_000, 300), (16_384, 600), (500_000, 1_000)],
)
async def test_a_stock_node_server_that_answers_at_length_is_a_success(
    size: int, chunks: int, node_port: int, authority: Authority
) -> None:
    async with webhook_client(
        tls=authority.trusted(), resolver=FakeResolver(receiver=["127.0.0.1"])
    ) as client:
        outcome = await client.send(
            request_to(f"https://receiver.test:{node_port}/{size}/{chunks}")
        )

    assert isinstance(outcome.result, Response), outcome
    assert outcome.result.status == 200


def logging_keys(authority: Authority, version: ssl.TLSVersion, folder: Path) -> ssl.SSLContext:
    """A receiver's context for `shake_hands`."""
    context = authority.server("receiver.test")
    context.minimum_version = context.maximum_version = version
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")  # of TLS 1.2
    context.num_tickets = 0
    context.keylog_filename = str(folder / "keys")
    return context


@pytest.fixture
def version_1_3(authority: Authority, tmp_path: Path) -> ssl.SSLContext:
    return logging_keys(authority, ssl.TLSVersion.TLSv1_3, tmp_path)


async def outcome_of_records(
    parts: list[bytes], server: ssl.SSLContext, trusted: ssl.SSLContext
) -> Outcome:
    """Answer with one record for each of the parts, and check that the loop is never blocked."""

    async def script(connection: Connection) -> None:
        sealer = await shake_hands(connection, server)
        await connection.send(b"".join([sealer.record(DATA, part) for part in parts]))
        await connection.wait_closed()

    names = FakeResolver(receiver=["127.0.0.1"])
    async with (
        webhook_client(tls=trusted, resolver=names) as client,
        hostile(script) as receiver,
        watched_loop() as loop,
    ):
        outcome = await client.send(request_to(f"https://receiver.test:{receiver.port}/"))
    assert loop.longest_iteration_seconds < MAX_ITERATION_SECONDS
    return outcome


@pytest.mark.parametrize("count", [500, MAX_DATA_RECORDS - 10, 3 * MAX_DATA_RECORDS])
async def test_a_body_in_thousands_of_records_is_a_success(
    count: int, version_1_3: ssl.SSLContext, authority: Authority
) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % count
    outcome = await outcome_of_records([head, *[b"x"] * count], version_1_3, authority.trusted())

    assert isinstance(outcome.result, Response), outcome


async def test_a_head_in_endless_records_is_refused(
    version_1_3: ssl.SSLContext, authority: Authority
) -> None:
    head = [b"HTTP/1.1 200 OK\r\nX-Long: ", *[b"x"] * 3 * MAX_DATA_RECORDS]
    outcome = await outcome_of_records(head, version_1_3, authority.trusted())

    assert isinstance(outcome.result, Failure)
    assert outcome.result.message == TOO_MANY_RECORDS


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
@pytest.mark.parametrize("size", [1, 16, RECORD])
async def test_all_that_one_read_brings_is_received_in_short_pieces(
    size: int,
    version: ssl.TLSVersion,
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pieces: list[int] = []

    class CountingBudget(LoopBudget):
        def run(self, work: Callable[[], None]) -> None:
            pieces.append(0)
            super().run(work)

    class CountingSession(TlsSession):
        def receive(self, record: bytes) -> None:
            if self.established:
                pieces[-1] += 1
            super().receive(record)

    monkeypatch.setattr(client, "LoopBudget", CountingBudget)
    monkeypatch.setattr(tls_context, "TlsSession", CountingSession)
    body = b"x" * min(3500 * size, RECORD)
    response = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    parts = [response[start : start + size] for start in range(0, len(response), size)]
    outcome = await outcome_of_records(
        parts, logging_keys(authority, version, tmp_path), authority.trusted()
    )

    assert isinstance(outcome.result, Response), outcome
    assert sum(pieces) > 0
    assert max(pieces) <= RECORDS_IN_A_PIECE


def record(length: int) -> bytes:
    return b"\x17\x03\x03" + length.to_bytes(2) + b"x" * length


@pytest.mark.parametrize("piece", [1, 4, 5, 6, 1000, 1_000_000])
def test_records_are_whole_in_whatever_pieces_they_arrive(piece: int) -> None:
    expected = [record(length) for length in (0, 1, 5, 16_384, 16_640, 3)]
    stream, splitter = b"".join(expected), RecordSplitter()

    found = [
        each
        for start in range(0, len(stream), piece)
        for each in splitter.feed(stream[start : start + piece])
    ]

    assert found == expected


@pytest.mark.parametrize("data", [b"HTTP/1.1 400 Bad\r\n", record(MAX_RECORD_BYTES)])
def test_bytes_that_are_no_record_are_passed_on(data: bytes) -> None:
    assert b"".join(RecordSplitter().feed(data)) == data
