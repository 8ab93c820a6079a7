"""Limits on responses: little of a long one is kept, and every outcome can be stored."""

import asyncio
import gzip
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

import orjson
import pytest

from daemon.core.model.attempts import Failure, Outcome, Response
from daemon.core.outcomes.verdict import judge
from daemon.egress import client
from daemon.egress.loop_budget import LoopBudget
from daemon.egress.response_parser import MAX_BODY_BYTES, MAX_HEADERS, MAX_PIECES
from tests.support.application import Application
from tests.support.client import HEAD_TOO_LARGE, outcome_of, request_to, response_of, webhook_client
from tests.support.daemons import until
from tests.support.hostile import (
    CHUNKED,
    HTTP,
    Connection,
    hostile,
    responding_endlessly,
    responding_once,
    responding_with,
)

BOMB = gzip.compress(bytes(10_000_000), mtime=0)  # a thousandth of its content

ENDLESS_BODIES = {
    "a body that ends with the connection": (HTTP + b"200 OK\r\n\r\n", b"x" * 4096),
    "a body of a declared length": (
        HTTP + b"200 OK\r\nContent-Length: 1" + b"0" * 15 + b"\r\n\r\n",
        b"x" * 4096,
    ),
    "chunks": (CHUNKED, b"1000\r\n" + b"x" * 4096 + b"\r\n"),
    "one chunk": (CHUNKED + b"7" + b"f" * 15 + b"\r\n", b"x" * 4096),
    "a gzip bomb in chunks": (
        HTTP + b"200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"%x\r\n%b\r\n" % (len(BOMB), BOMB),
    ),
    "NULs": (HTTP + b"200 OK\r\n\r\n", bytes(4096)),
    "a gzip bomb": (HTTP + b"200 OK\r\nContent-Encoding: gzip\r\n\r\n", BOMB),
}


@pytest.mark.parametrize(("beginning", "again"), ENDLESS_BODIES.values(), ids=ENDLESS_BODIES)
async def test_an_endless_body_is_cut_off_at_16_kib_and_its_connection_closed(
    beginning: bytes, again: bytes
) -> None:
    async with (
        webhook_client() as client,
        hostile(responding_endlessly(beginning, again)) as receiver,
    ):
        outcome = await client.send(request_to(receiver.url))
        await until(lambda: receiver.open_now == 0)

    response = outcome.result
    assert isinstance(response, Response)
    assert response.status == 200
    assert response.truncated
    assert (
        MAX_BODY_BYTES - 64 <= len(response.body) <= MAX_BODY_BYTES
    )  # of gzip some bytes are a character
    assert outcome.took_ms < 4000


async def test_responses_that_wait_for_the_loop_to_have_time_are_read_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one_in_an_iteration = 1e-9
    monkeypatch.setattr(client, "LoopBudget", partial(LoopBudget, seconds=one_in_an_iteration))
    response = HTTP + b"200 OK\r\nContent-Length: %d\r\n\r\n" % MAX_BODY_BYTES
    body = bytes(range(32, 127)) * 200
    async with (
        webhook_client(seconds=30.0) as sender,
        hostile(responding_with(response + body[:MAX_BODY_BYTES])) as receiver,
    ):
        outcomes = await asyncio.gather(
            *(sender.send(request_to(receiver.url)) for _ in range(100))
        )

    for outcome in outcomes:
        assert isinstance(outcome.result, Response)
        assert outcome.result.body == body[:MAX_BODY_BYTES].decode()
        assert not outcome.result.truncated


@pytest.mark.parametrize(("length", "work"), [(500, 0), (20, 0), (8192, 2)])
async def test_the_end_of_a_large_response_is_read_within_the_budget_however_small_its_last_piece(
    monkeypatch: pytest.MonkeyPatch, length: int, work: int
) -> None:
    ran: list[object] = []

    class Recording(LoopBudget):
        def run(self, piece: Callable[[], None]) -> None:
            ran.append(piece)
            super().run(piece)

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(HTTP + b"200 OK\r\nContent-Length: %d\r\n\r\n" % length)
        await connection.send(b"x" * (length - 1))
        await asyncio.sleep(0.05)
        await connection.send(b"x")
        await connection.read_some()

    monkeypatch.setattr(client, "LoopBudget", Recording)
    async with webhook_client() as sender, hostile(script) as receiver:
        outcome = await sender.send(request_to(receiver.url))

    assert isinstance(outcome.result, Response)
    assert len(outcome.result.body) == length
    assert len(ran) >= work if work else not ran


async def test_a_body_is_never_decompressed() -> None:
    packed = gzip.compress(bytes(1000))
    response = await response_of(
        responding_once(HTTP + b"200 OK\r\nContent-Encoding: gzip\r\n\r\n" + packed)
    )

    assert len(response.body) <= len(packed)


ENDLESS_HEADS = {
    "interim responses": (b"", (HTTP + b"103 Early Hints\r\n\r\n") * 100),
    "interim responses with headers": (b"", (HTTP + b"102 P\r\nX: a\r\n\r\n") * 100),
    "interim responses with bodies": (
        b"",
        (HTTP + b"199 X\r\nContent-Length: 4096\r\n\r\n" + b"x" * 4096),
    ),
    "an interim response's body": (
        HTTP + b"199 X\r\nContent-Length: 99999999\r\n\r\n",
        b"x" * 4096,
    ),
    "empty lines": (b"", b"\r\n" * 2000),
    "headers": (HTTP + b"200 OK\r\n", b"X: a\r\n" * 500),
    "one header": (HTTP + b"200 OK\r\nX: ", b"a" * 4096),
    "a header's name": (HTTP + b"200 OK\r\n", b"a" * 4096),
    "a reason phrase": (HTTP + b"200 ", b"a" * 4096),
    "spaces before a header's value": (HTTP + b"200 OK\r\nX:", b" " * 4096),
    "a Content-Length of zeros": (HTTP + b"200 OK\r\nContent-Length: ", b"0" * 4096),
}


@pytest.mark.parametrize(("beginning", "again"), ENDLESS_HEADS.values(), ids=ENDLESS_HEADS)
async def test_an_endless_head_is_a_failure(beginning: bytes, again: bytes) -> None:
    async with (
        webhook_client() as client,
        hostile(responding_endlessly(beginning, again)) as receiver,
    ):
        outcome = await client.send(request_to(receiver.url))
        await until(lambda: receiver.open_now == 0)

    assert outcome.result == HEAD_TOO_LARGE
    assert outcome.took_ms < 4000


@pytest.mark.parametrize(
    ("beginning", "again"),
    [
        (CHUNKED + b"1;", b"e" * 4096),
        (CHUNKED, b"0" * 4096),
        (CHUNKED + b"2\r\nOK\r\n0\r\n", b"Trailer: 1\r\n" * 400),
        (CHUNKED + b"2\r\nOK\r\n0\r\nTrailer: ", b"a" * 4096),
    ],
    ids=["a chunk's extension", "a chunk's size", "trailers", "one trailer"],
)
async def test_a_body_is_truncated_where_its_framing_does_not_end(
    beginning: bytes, again: bytes
) -> None:
    response = await response_of(responding_endlessly(beginning, again))

    assert (response.status, response.truncated) == (200, True)


async def test_a_response_in_tiny_pieces_is_truncated_after_a_thousand_of_them() -> None:
    response = await response_of(responding_endlessly(CHUNKED, b"1\r\nx\r\n" * 5000))

    assert (response.status, response.truncated) == (200, True)
    assert 900 < len(response.body) < MAX_PIECES


async def test_a_body_of_16_kib_is_kept_whole_and_one_more_byte_is_cut_off() -> None:
    whole = await response_of(responding_once(HTTP + b"200 OK\r\n\r\n" + b"x" * MAX_BODY_BYTES))
    cut = await response_of(responding_once(HTTP + b"200 OK\r\n\r\n" + b"x" * (MAX_BODY_BYTES + 1)))

    assert (len(whole.body), whole.truncated) == (MAX_BODY_BYTES, False)
    assert (len(cut.body), cut.truncated) == (MAX_BODY_BYTES, True)


@pytest.mark.parametrize("character", ["é", "€", "😀"])
async def test_a_body_is_never_cut_in_the_middle_of_a_character(character: str) -> None:
    text = "x" + character * MAX_BODY_BYTES
    response = await response_of(responding_endlessly(HTTP + b"200 OK\r\n\r\n", text.encode()))

    assert response.truncated
    assert text.startswith(response.body)


async def test_a_header_value_is_never_cut_in_the_middle_of_a_character() -> None:
    value = "x" + "é" * 3000
    response = await response_of(
        responding_once(HTTP + b"200 OK\r\nX: " + value.encode() + b"\r\nContent-Length: 0\r\n\r\n")
    )

    assert response.headers[0] == ("x", value[:2048])


async def test_header_values_are_decoded_as_utf_8_or_else_as_latin_1() -> None:
    headers = b"A: \xf0\x9f\x98\x80\r\nB: \xe9\r\nC: \xed\xa0\x80\r\nD: a\tb\r\nE:\r\n"
    response = await response_of(responding_once(HTTP + b"200 OK\r\n" + headers + b"\r\n"))

    assert response.headers == (
        ("a", "😀"), ("b", "é"), ("c", "í\xa0\x80"), ("d", "a\tb"), ("e", ""),
    )  # fmt: skip


async def test_only_the_first_hundred_headers_are_kept() -> None:
    headers = b"".join(b"X-%d: 1\r\n" % n for n in range(900))
    response = await response_of(responding_once(HTTP + b"200 OK\r\n" + headers + b"\r\nOK"))

    assert response.body == "OK"
    assert [name for name, _ in response.headers] == [f"x-{n}" for n in range(MAX_HEADERS)]


async def test_headers_that_do_not_fit_into_16_ki_characters_are_left_out() -> None:
    large = [b"X-Large-%d: %b" % (number, b"x" * 2048) for number in range(20)]
    head = b"\r\n".join([b"HTTP/1.1 200 OK", *large, b"Retry-After: 7", b"Content-Length: 0"])

    response = await response_of(responding_with(head + b"\r\n\r\n"))

    names = [name for name, _ in response.headers]
    assert names == [*(f"x-large-{number}" for number in range(7)), "retry-after", "content-length"]


async def test_trailers_are_not_kept_as_headers() -> None:
    response = await response_of(
        responding_with(CHUNKED + b"2\r\nOK\r\n0\r\nRetry-After: 1\r\nX: 9\r\n\r\n")
    )

    assert response.headers == (("transfer-encoding", "chunked"),)


NASTY = [
    HTTP + b"200 OK\r\n\r\n" + bytes(range(256)) * 4,
    HTTP + b"200 OK\r\n\r\n\x00\x00\xed\xa0\x80\xed\xbf\xbf\xff\xfe\xf4\x90\x80\x80\\u0000",
    HTTP + b"200 OK\r\n\r\n" + "é😀\ufffe\uffff\u2028".encode() * 4000,
    HTTP + b"200 OK\r\n\r\n" + b"x" + "😀".encode() * 5000,
    HTTP + b"200 \x00\xff\xed\xa0\x80\r\nContent-Length: 0\r\n\r\n",
    HTTP + b"200 OK\r\nX: \xed\xa0\x80\\u0000\r\nY: \xff\xfe\r\nZ: \xf4\x90\x80\x80\r\n\r\n",
    HTTP + b"200 OK\r\nX: " + b"\xe2\x82" * 3000 + b"\r\n\r\n",
    HTTP + b"200 OK\r\n" + b"X: 1\r\n" * 5000 + b"\r\n",
    HTTP + b"302 Found\r\nLocation: http://\xff\xed\xa0\x80/\xf0\x9f\x98\x80\r\n\r\n",
    HTTP + b"302 Found\r\nLocation: " + b"\x80\x85\xf0\x9f" * 5000 + b"\r\n\r\n",
    HTTP + b"503 No\r\nRetry-After: \xff\r\n\r\n",
    HTTP + b"200 " + b"\x00\xff" * 30_000 + b"\r\n\r\n",
    HTTP + b"500 \r\n" + b"X: \xff\r\nx: \xed\xa0\x80\r\n" * 200 + b"\r\n",
    HTTP + b"304 \x00\r\nContent-Length: 5\r\n\r\n\x00\x00",
    HTTP + b"101 \x00\r\nUpgrade: \xff\r\nConnection: Upgrade\r\n\r\n\x00",
    CHUNKED + b"3\r\n\x00\xff\xed\r\n0\r\nX: \xff\r\n\r\n",
    CHUNKED + b"\x00\xff",
    HTTP + b"999 \xff\r\n\r\n\x00",
    b"\x00" * 100,
]


async def test_every_outcome_can_be_stored(app: Application) -> None:
    webhook = await app.webhook(await app.tenant(), "https://receiver.test/")
    outcomes = [await outcome_of(responding_once(wire)) for wire in NASTY]

    for outcome in outcomes:
        await store(app, webhook, outcome)

    assert await app.db.fetchval("SELECT count(*) FROM webhook_deliveries") == len(NASTY)
    assert {type(outcome.result) for outcome in outcomes} == {Response, Failure}


async def store(app: Application, webhook: object, outcome: Outcome) -> None:
    verdict = judge(1, outcome, schedule=[timedelta(minutes=1)], jitter=0.0, now=datetime.now(UTC))
    response = outcome.result if isinstance(outcome.result, Response) else Response(0, (), "")
    await app.db.execute(
        "INSERT INTO webhook_deliveries (webhook_id, event_id, status, status_code,"
        " response_headers, response_body, error_message, duration_ms)"
        " VALUES ($1, $2, 'failed', $3, $4, $5, $6, $7)",
        webhook,
        uuid4(),
        verdict.status,
        orjson.dumps(dict(response.headers)).decode(),
        response.body,
        verdict.error,
        outcome.took_ms,
    )
