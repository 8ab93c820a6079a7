"""One POST to receivers that answer well, badly, or not at all."""

import socket
from datetime import UTC, datetime, timedelta

import pytest

from daemon.model import Answer, Failure, Fault, Request
from daemon.verdict import judge
from tests.hostile import (
    CHUNKED,
    HTTP,
    OK,
    Script,
    Visit,
    hanging_up,
    hostile,
    resetting,
    resetting_after,
    saying,
    saying_once,
)
from tests.sending import (
    CUT_OFF,
    NO_ANSWER,
    NOT_HTTP,
    SWITCHED,
    answer_of,
    failure_of,
    sending,
    to,
)


async def test_a_request_is_one_post_with_its_headers_and_the_body_as_given() -> None:
    async with sending() as sender, hostile(saying(OK)) as receiver:
        url = f"{receiver.url}höök/%2F?a=1&b=ü#part"
        await sender.send(Request(url, (("X-One", "1"), ("X-Two", "zwei")), '{"ü":1}'.encode()))

    assert receiver.requests == [
        b"POST /h%C3%B6%C3%B6k/%2F?a=1&b=%C3%BC HTTP/1.1\r\n"
        + f"Host: 127.0.0.1:{receiver.port}\r\n".encode()
        + b"Accept: */*\r\nAccept-Encoding: identity\r\nContent-Length: 8\r\n"
        + b'X-One: 1\r\nX-Two: zwei\r\n\r\n{"\xc3\xbc":1}'
    ]


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
async def test_proxies_of_the_environment_are_ignored(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hostile(saying(OK)) as proxy, hostile(saying(OK)) as receiver:
        monkeypatch.setenv(name, proxy.url)
        async with sending() as sender:
            outcome = await sender.send(to(receiver.url))

    assert isinstance(outcome.result, Answer)
    assert len(receiver.visits) == 1
    assert proxy.visits == []


@pytest.mark.parametrize("status", [200, 201, 204, 250, 299, 301, 400, 410, 429, 500, 503, 999])
async def test_any_status_from_200_on_is_an_answer(status: int) -> None:
    end = b"\r\n" if status == 204 else b"Content-Length: 0\r\n\r\n"
    answer = await answer_of(saying(HTTP + f"{status} Any\r\n".encode() + end))

    assert answer.status == status
    assert not answer.truncated


async def test_a_redirect_is_not_followed_and_the_error_names_where_it_led() -> None:
    location = b"Location: http://169.254.169.254/latest\r\n"
    async with (
        sending() as sender,
        hostile(
            saying(HTTP + b"302 Found\r\n" + location + b"Content-Length: 0\r\n\r\n")
        ) as receiver,
    ):
        outcome = await sender.send(to(receiver.url))

    verdict = judge(1, outcome, [timedelta(minutes=1)], roll=0.0, now=datetime.now(UTC))
    assert not verdict.delivered
    assert verdict.error == (
        "the receiver answered 302 Found and redirects to http://169.254.169.254/latest;"
        " redirects are not followed"
    )
    assert len(receiver.visits) == 1


GOOD = {
    "interim answers before it": (
        HTTP + b"100 Continue\r\n\r\n" + HTTP + b"103 E\r\nA: b\r\n\r\n" + OK
    ),
    "an interim answer with a body before it": (
        HTTP + b"199 X\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20000 + OK
    ),
    "empty lines before it": b"\r\n\r\n" + OK,
    "no reason phrase": OK.replace(b" OK", b""),
    "a hostile reason phrase": OK.replace(b" OK", b" \x00\xff\xed\xa0\x80\x1b[2J"),
    "HTTP/1.0": OK.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "chunks": CHUNKED + b"1\r\nO\r\n1;ext=1\r\nK\r\n0\r\nTrailer: 1\r\n\r\n",
    "an end at the end of the connection": HTTP + b"200 OK\r\n\r\nOK",
    "HTTP/1.0 that ends with the connection": b"HTTP/1.0 200 OK\r\n\r\nOK",
    "a coding that ends with the connection": HTTP + b"200 OK\r\nTransfer-Encoding: gzip\r\n\r\nOK",
    "bytes after its body": OK + b"and more",
    "a second answer behind it": OK + HTTP + b"500 No\r\nContent-Length: 1\r\n\r\n!",
}


@pytest.mark.parametrize("wire", GOOD.values(), ids=GOOD)
async def test_an_answer_is_read_with(wire: bytes) -> None:
    answer = await answer_of(saying_once(wire))

    assert (answer.status, answer.body, answer.truncated) == (200, "OK", False)


async def test_an_answer_is_read_a_byte_at_a_time() -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await visit.drip(HTTP + b"103 E\r\n\r\n" + OK, every=0.0)

    answer = await answer_of(script)

    assert (answer.status, answer.body) == (200, "OK")


async def test_a_204_with_a_body_is_a_success_without_one() -> None:
    answer = await answer_of(saying(HTTP + b"204 No Content\r\nContent-Length: 5\r\n\r\nhello"))

    assert (answer.status, answer.body) == (204, "")


async def test_an_upgrade_that_is_only_offered_is_an_answer() -> None:
    answer = await answer_of(
        saying(HTTP + b"426 U\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n")
    )

    assert answer.status == 426


WRONG = {
    "a Content-Length that is negative": (OK.replace(b": 2", b": -2"), NOT_HTTP),
    "a Content-Length with a sign": (OK.replace(b": 2", b": +2"), NOT_HTTP),
    "a Content-Length that is no number": (OK.replace(b": 2", b": two"), NOT_HTTP),
    "a Content-Length that is empty": (OK.replace(b": 2", b":"), NOT_HTTP),
    "a Content-Length beyond 64 bits": (OK.replace(b": 2", b": " + b"9" * 30), NOT_HTTP),
    "a Content-Length beyond the body": (OK.replace(b": 2", b": 3"), CUT_OFF),
    "two Content-Lengths": (
        OK.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n"),
        NOT_HTTP,
    ),
    "Content-Length and chunks": (
        CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n") + b"2\r\nOK\r\n0\r\n\r\n",
        NOT_HTTP,
    ),
    "a chunk size that is no number": (CHUNKED + b"zz\r\nOK\r\n0\r\n\r\n", NOT_HTTP),
    "a chunk size that is negative": (CHUNKED + b"-1\r\nOK\r\n0\r\n\r\n", NOT_HTTP),
    "a chunk size beyond 64 bits": (CHUNKED + b"f" * 17 + b"\r\nOK\r\n0\r\n\r\n", NOT_HTTP),
    "a chunk longer than its size": (CHUNKED + b"1\r\nOK\r\n0\r\n\r\n", NOT_HTTP),
    "chunks without an end": (CHUNKED + b"2\r\nOK\r\n", CUT_OFF),
    "a status of 99": (HTTP + b"99 X\r\nContent-Length: 0\r\n\r\n", NOT_HTTP),
    "a status of 099": (HTTP + b"099 X\r\n\r\n" + b"x" * 20000, NOT_HTTP),
    "a status of 000": (HTTP + b"000 X\r\nContent-Length: 0\r\n\r\n", NOT_HTTP),
    "a status of 1000": (HTTP + b"1000 X\r\nContent-Length: 0\r\n\r\n", NOT_HTTP),
    "a status of -200": (HTTP + b"-200 X\r\nContent-Length: 0\r\n\r\n", NOT_HTTP),
    "an upgrade": (HTTP + b"101 S\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n", SWITCHED),
    "an upgrade to nothing": (HTTP + b"101 Switching\r\n\r\n" + OK, NOT_HTTP),
    "NUL in a header": (OK.replace(b"\r\n\r\n", b"\r\nX: a\x00b\r\n\r\n"), NOT_HTTP),
    "ESC in a header": (OK.replace(b"\r\n\r\n", b"\r\nX: a\x1bb\r\n\r\n"), NOT_HTTP),
    "a space in a header's name": (OK.replace(b"\r\n\r\n", b"\r\nX Y: a\r\n\r\n"), NOT_HTTP),
    "a header without a name": (OK.replace(b"\r\n\r\n", b"\r\n: a\r\n\r\n"), NOT_HTTP),
    "a header without a colon": (OK.replace(b"\r\n\r\n", b"\r\nX\r\n\r\n"), NOT_HTTP),
    "a header in two lines": (OK.replace(b"\r\n\r\n", b"\r\nX: a\r\n b\r\n\r\n"), NOT_HTTP),
    "an interim answer and no other": (HTTP + b"103 E\r\n\r\n", CUT_OFF),
    "half a status line": (b"HTTP/1", CUT_OFF),
    "half a head": (HTTP + b"200 OK\r\nContent-Le", CUT_OFF),
    "HTTP/0.9": (b"<html>OK</html>", NOT_HTTP),
    "HTTP/2": (b"HTTP/2 200\r\n\r\n", NOT_HTTP),
    "HTTP/2's frames": (b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", NOT_HTTP),
    "ICY": (b"ICY 200 OK\r\n\r\n", NOT_HTTP),
    "SSH": (b"SSH-2.0-OpenSSH_9.2\r\n", NOT_HTTP),
    "garbage": (bytes(range(256)), NOT_HTTP),
    "nothing": (b"", NO_ANSWER),
}


@pytest.mark.parametrize(("wire", "failure"), WRONG.values(), ids=WRONG)
async def test_it_is_a_failure_to_answer_with(wire: bytes, failure: Failure) -> None:
    assert await failure_of(saying_once(wire)) == failure


@pytest.mark.parametrize("script", [hanging_up, resetting], ids=["an end", "a reset"])
async def test_it_is_a_failure_to_meet_a_request_with(script: Script) -> None:
    assert await failure_of(script) == NO_ANSWER


RESETS = {
    "before the answer": (b"", NO_ANSWER),
    "in the status line": (b"HTTP/1.1 2", CUT_OFF),
    "in the head": (HTTP + b"200 OK\r\nContent-", CUT_OFF),
    "after an interim answer": (HTTP + b"103 E\r\n\r\n", CUT_OFF),
    "after the head": (HTTP + b"200 OK\r\nContent-Length: 2\r\n\r\n", CUT_OFF),
    "in the body": (HTTP + b"200 OK\r\nContent-Length: 2\r\n\r\nO", CUT_OFF),
    "in a chunk": (CHUNKED + b"5\r\nOK", CUT_OFF),
    # RFC 9112, section 8: only a proper end completes a body that ends with the connection.
    "in a body without a length": (HTTP + b"200 OK\r\n\r\nOK", CUT_OFF),
}


@pytest.mark.parametrize(("beginning", "failure"), RESETS.values(), ids=RESETS)
async def test_a_reset_is_a_failure(beginning: bytes, failure: Failure) -> None:
    assert await failure_of(resetting_after(beginning)) == failure


async def test_a_reset_after_a_whole_answer_changes_nothing() -> None:
    answer = await answer_of(resetting_after(OK))

    assert (answer.status, answer.body) == (200, "OK")


async def test_nobody_listening_is_a_refused_connection() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        async with sending() as sender:
            outcome = await sender.send(to(f"http://127.0.0.1:{bound.getsockname()[1]}/"))

    assert outcome.result == Failure(Fault.CONNECT, "could not connect: connection refused")
