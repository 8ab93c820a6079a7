"""One POST to receivers whose response is valid, invalid or missing."""

import socket
from datetime import UTC, datetime, timedelta

import pytest

from daemon.core.model.attempts import Failure, FailureKind, Request, Response
from daemon.core.outcomes.verdict import judge
from tests.support.client import (
    INCOMPLETE_RESPONSE,
    INVALID_HTTP,
    LARGE,
    NO_RESPONSE,
    SWITCHED_PROTOCOLS,
    failure_of,
    outcome_of,
    request_to,
    response_of,
    webhook_client,
)
from tests.support.hostile import (
    CHUNKED,
    HTTP,
    OK,
    Connection,
    Script,
    closing_at_once,
    hostile,
    resetting,
    resetting_after,
    responding_once,
    responding_with,
)


async def test_a_request_is_one_post_with_its_headers_and_the_body_as_given() -> None:
    async with webhook_client() as client, hostile(responding_with(OK)) as receiver:
        url = f"{receiver.url}höök/%2F?a=1&b=ü"
        await client.send(Request(url, "X-One: 1\r\nX-Two: zwei\r\n", '{"ü":1}'.encode()))

    assert receiver.requests == [
        b"POST /h%C3%B6%C3%B6k/%2F?a=1&b=%C3%BC HTTP/1.1\r\n"
        + f"Host: 127.0.0.1:{receiver.port}\r\n".encode()
        + b"Accept: */*\r\nAccept-Encoding: identity\r\nContent-Length: 8\r\n"
        + b'X-One: 1\r\nX-Two: zwei\r\n\r\n{"\xc3\xbc":1}'
    ]


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
async def test_proxy_variables_of_the_environment_are_ignored(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with hostile(responding_with(OK)) as proxy, hostile(responding_with(OK)) as receiver:
        monkeypatch.setenv(name, proxy.url)
        async with webhook_client() as client:
            outcome = await client.send(request_to(receiver.url))

    assert isinstance(outcome.result, Response)
    assert len(receiver.connections) == 1
    assert proxy.connections == []


@pytest.mark.parametrize("status", [200, 201, 204, 250, 299, 301, 400, 410, 429, 500, 503, 999])
async def test_any_status_from_200_on_is_a_response(status: int) -> None:
    end = b"\r\n" if status == 204 else b"Content-Length: 0\r\n\r\n"
    response = await response_of(responding_with(HTTP + f"{status} Any\r\n".encode() + end))

    assert response.status == status
    assert not response.truncated


async def test_a_redirect_is_not_followed_and_the_error_names_its_location() -> None:
    location = b"Location: http://169.254.169.254/latest\r\n"
    async with (
        webhook_client() as client,
        hostile(
            responding_with(HTTP + b"302 Found\r\n" + location + b"Content-Length: 0\r\n\r\n")
        ) as receiver,
    ):
        outcome = await client.send(request_to(receiver.url))

    verdict = judge(1, outcome, schedule=[timedelta(minutes=1)], jitter=0.0, now=datetime.now(UTC))
    assert not verdict.delivered
    assert verdict.error == (
        "the receiver answered 302 Found and redirects to http://169.254.169.254/latest;"
        " redirects are not followed"
    )
    assert len(receiver.connections) == 1


def _with(headers: bytes) -> bytes:
    return OK.replace(b"\r\n\r\n", b"\r\n" + headers + b"\r\n\r\n")


VALID = {
    "interim responses before it": (
        HTTP + b"100 Continue\r\n\r\n" + HTTP + b"103 E\r\nA: b\r\n\r\n" + OK
    ),
    "an interim response with a body before it": (
        HTTP + b"199 X\r\nContent-Length: 20000\r\n\r\n" + b"x" * 20000 + OK
    ),
    "empty lines before it": b"\r\n\r\n" + OK,
    "an interim response of a hundred headers before it": (
        HTTP + b"103 E\r\n" + b"Link: x\r\n" * 100 + b"\r\n" + OK
    ),
    "no reason phrase": OK.replace(b" OK", b""),
    "an empty reason phrase": OK.replace(b" OK", b" "),
    "a hostile reason phrase": OK.replace(b" OK", b" \x00\xff\xed\xa0\x80\x1b[2J\x7f\t"),
    "a reason phrase of 60 KB": OK.replace(b" OK", b" " + b"x" * 60_000),
    "HTTP/1.0": OK.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "HTTP/2.0 as its version": OK.replace(b"HTTP/1.1", b"HTTP/2.0"),
    "a Content-Length short of its body": OK + b"NO",
    "a Content-Length with zeros and spaces": OK.replace(b": 2", b":\t 0002\t "),
    "the same header three times": _with(b"X: 1\r\nx: 2\r\nX: 1"),
    "invalid UTF-8 in a header": _with(b"X: \xff\xfe\xed\xa0\x80"),
    "an upgrade that is only offered": _with(b"Upgrade: h2c\r\nConnection: Upgrade"),
    "chunks": CHUNKED + b"1\r\nO\r\n1;ext=1\r\nK\r\n0\r\nTrailer: 1\r\n\r\n",
    "a body that ends with the connection": HTTP + b"200 OK\r\n\r\nOK",
    "HTTP/1.0 that ends with the connection": b"HTTP/1.0 200 OK\r\n\r\nOK",
    "a coding that ends with the connection": HTTP + b"200 OK\r\nTransfer-Encoding: gzip\r\n\r\nOK",
    "chunks that are not the last coding": (
        HTTP + b"200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\nOK"
    ),
    "chunks after another coding": (
        HTTP + b"200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: Chunked\r\n\r\n"
        b"2\r\nOK\r\n0\r\n\r\n"
    ),
    "a coding that is unknown": HTTP + b"200 OK\r\nTransfer-Encoding: xchunked\r\n\r\nOK",
    "a chunk's size of 30,000 digits": CHUNKED + b"0" * 30_000 + b"2\r\nOK\r\n0\r\n\r\n",
    "bytes after its body": OK + b"and more",
    "a second response after it": OK + HTTP + b"500 No\r\nContent-Length: 1\r\n\r\n!",
}


@pytest.mark.parametrize("wire", VALID.values(), ids=VALID)
async def test_a_response_is_read_despite(wire: bytes) -> None:
    response = await response_of(responding_once(wire))

    assert (response.status, response.body, response.truncated) == (200, "OK", False)


async def test_a_response_is_read_a_byte_at_a_time() -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.drip(HTTP + b"103 E\r\n\r\n" + OK, every=0.0)

    response = await response_of(script)

    assert (response.status, response.body) == (200, "OK")


BODILESS = {
    "of a declared length": b"Content-Length: 5\r\n\r\nhello",
    "in chunks": b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "of no declared length": b"\r\n" + b"x" * 50_000,
    "that is never sent": b"Content-Length: 5\r\n\r\n",
}


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("body", BODILESS.values(), ids=BODILESS)
async def test_a_status_that_forbids_a_body_is_a_response_even_with_one(
    status: int, body: bytes
) -> None:
    response = await response_of(responding_with(HTTP + f"{status} No\r\n".encode() + body))

    assert (response.status, response.body) == (status, "")


async def test_an_upgrade_that_is_only_offered_is_a_response() -> None:
    response = await response_of(
        responding_with(
            HTTP + b"426 U\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n"
        )
    )

    assert response.status == 426


INVALID = {
    "a Content-Length that is negative": (OK.replace(b": 2", b": -2"), INVALID_HTTP),
    "a Content-Length with a sign": (OK.replace(b": 2", b": +2"), INVALID_HTTP),
    "a Content-Length that is not a number": (OK.replace(b": 2", b": two"), INVALID_HTTP),
    "a Content-Length that is empty": (OK.replace(b": 2", b":"), INVALID_HTTP),
    "a Content-Length in hexadecimal": (OK.replace(b": 2", b": 0x2"), INVALID_HTTP),
    "a Content-Length with a fraction": (OK.replace(b": 2", b": 2.0"), INVALID_HTTP),
    "a Content-Length of other digits": (OK.replace(b": 2", ": \uff12".encode()), INVALID_HTTP),
    "a Content-Length twice in one header": (OK.replace(b": 2", b": 2, 2"), INVALID_HTTP),
    "a Content-Length of 64 bits": (
        OK.replace(b": 2", b": 18446744073709551615"),
        INCOMPLETE_RESPONSE,
    ),
    "a Content-Length beyond 64 bits": (OK.replace(b": 2", b": " + b"9" * 30), INVALID_HTTP),
    "a Content-Length beyond the body": (OK.replace(b": 2", b": 3"), INCOMPLETE_RESPONSE),
    "two Content-Lengths": (_with(b"Content-Length: 3"), INVALID_HTTP),
    "two equal Content-Lengths": (_with(b"Content-Length: 2"), INVALID_HTTP),
    "Content-Length and chunks": (
        CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 2\r\n\r\n") + b"2\r\nOK\r\n0\r\n\r\n",
        INVALID_HTTP,
    ),
    "chunks after a Content-Length": (_with(b"Transfer-Encoding: chunked"), INVALID_HTTP),
    "a Content-Length and another coding": (_with(b"Transfer-Encoding: identity"), INVALID_HTTP),
    "a chunk size that is not a number": (CHUNKED + b"zz\r\nOK\r\n0\r\n\r\n", INVALID_HTTP),
    "a chunk size that is negative": (CHUNKED + b"-1\r\nOK\r\n0\r\n\r\n", INVALID_HTTP),
    "a chunk size beyond 64 bits": (CHUNKED + b"f" * 17 + b"\r\nOK\r\n0\r\n\r\n", INVALID_HTTP),
    "a chunk size of 64 bits": (CHUNKED + b"f" * 16 + b"\r\nOK\r\n0\r\n\r\n", INCOMPLETE_RESPONSE),
    "a chunk size that is empty": (CHUNKED + b"\r\nOK\r\n0\r\n\r\n", INVALID_HTTP),
    "a chunk size with 0x": (CHUNKED + b"0x2\r\nOK\r\n0\r\n\r\n", INVALID_HTTP),
    "a chunk size without its CRLF": (CHUNKED + b"2OK\r\n0\r\n\r\n", INVALID_HTTP),
    "a chunk without its CRLF": (CHUNKED + b"2\r\nOK0\r\n\r\n", INVALID_HTTP),
    "chunks with bare LF": (CHUNKED + b"2\nOK\n0\n\n", INVALID_HTTP),
    "NUL in a chunk's extension": (CHUNKED + b"2;\x00\r\nOK\r\n0\r\n\r\n", INVALID_HTTP),
    "NUL in a trailer": (CHUNKED + b"2\r\nOK\r\n0\r\nX: \x00\r\n\r\n", INVALID_HTTP),
    "a Content-Length in a trailer": (
        CHUNKED + b"2\r\nOK\r\n0\r\nContent-Length: 5\r\n\r\n",
        INVALID_HTTP,
    ),
    "a chunk longer than its size": (CHUNKED + b"1\r\nOK\r\n0\r\n\r\n", INVALID_HTTP),
    "chunks without an end": (CHUNKED + b"2\r\nOK\r\n", INCOMPLETE_RESPONSE),
    "chunks without their last line": (CHUNKED + b"2\r\nOK\r\n0\r\n", INCOMPLETE_RESPONSE),
    "a status of 20": (HTTP + b"20 X\r\nContent-Length: 0\r\n\r\n", INVALID_HTTP),
    "a status of 2OO": (HTTP + b"2OO X\r\nContent-Length: 0\r\n\r\n", INVALID_HTTP),
    "no status": (HTTP + b"\r\nContent-Length: 0\r\n\r\n", INVALID_HTTP),
    "a status of 99": (HTTP + b"99 X\r\nContent-Length: 0\r\n\r\n", INVALID_HTTP),
    "a status of 099": (HTTP + b"099 X\r\n\r\n" + b"x" * 20000, INVALID_HTTP),
    "a status of 000": (HTTP + b"000 X\r\nContent-Length: 0\r\n\r\n", INVALID_HTTP),
    "a status of 1000": (HTTP + b"1000 X\r\nContent-Length: 0\r\n\r\n", INVALID_HTTP),
    "a status of -200": (HTTP + b"-200 X\r\nContent-Length: 0\r\n\r\n", INVALID_HTTP),
    "an upgrade": (
        HTTP + b"101 S\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
        SWITCHED_PROTOCOLS,
    ),
    "an upgrade with a body": (
        HTTP + b"101 S\r\nUpgrade: x\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nOK",
        SWITCHED_PROTOCOLS,
    ),
    "an upgrade to nothing": (HTTP + b"101 Switching\r\n\r\n" + OK, INVALID_HTTP),
    "a body of a 100": (HTTP + b"100 C\r\nContent-Length: 5\r\n\r\nhello" + OK, INVALID_HTTP),
    "a reason phrase in two lines": (OK.replace(b" OK", b" a\r\n b"), INVALID_HTTP),
    "CR in the reason phrase": (OK.replace(b" OK", b" a\rb"), INVALID_HTTP),
    "LF in the reason phrase": (OK.replace(b" OK", b" a\nX: b"), INVALID_HTTP),
    "CR in a header": (_with(b"X: a\rb"), INVALID_HTTP),
    "LF in a header": (_with(b"X: a\nY: b"), INVALID_HTTP),
    "NUL in a header's name": (_with(b"X\x00: a"), INVALID_HTTP),
    "invalid UTF-8 in a header's name": (_with(b"\xff\xfe: a"), INVALID_HTTP),
    "a space after a header's name": (_with(b"X : a"), INVALID_HTTP),
    "NUL in a header": (_with(b"X: a\x00b"), INVALID_HTTP),
    "ESC in a header": (_with(b"X: a\x1bb"), INVALID_HTTP),
    "a space in a header's name": (_with(b"X Y: a"), INVALID_HTTP),
    "a header without a name": (_with(b": a"), INVALID_HTTP),
    "a header without a colon": (_with(b"X"), INVALID_HTTP),
    "a header in two lines": (_with(b"X: a\r\n b"), INVALID_HTTP),
    "an interim response and no other": (HTTP + b"103 E\r\n\r\n", INCOMPLETE_RESPONSE),
    "half a status line": (b"HTTP/1", INCOMPLETE_RESPONSE),
    "half a head": (HTTP + b"200 OK\r\nContent-Le", INCOMPLETE_RESPONSE),
    "HTTP/0.9": (b"<html>OK</html>", INVALID_HTTP),
    "HTTP/2": (b"HTTP/2 200\r\n\r\n", INVALID_HTTP),
    "HTTP/2's frames": (b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", INVALID_HTTP),
    "HTTP/2's preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", INVALID_HTTP),
    "HTTP/1.2": (OK.replace(b"1.1", b"1.2"), INVALID_HTTP),
    "HTTP/3.0": (OK.replace(b"1.1", b"3.0"), INVALID_HTTP),
    "HTTP/11": (OK.replace(b"1.1", b"11"), INVALID_HTTP),
    "bare LF": (OK.replace(b"\r\n", b"\n"), INVALID_HTTP),
    "bare CR": (OK.replace(b"\r\n", b"\r"), INVALID_HTTP),
    "a request": (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", INVALID_HTTP),
    "TLS": (b"\x15\x03\x01\x00\x02\x02\x28", INVALID_HTTP),
    "SMTP": (b"220 receiver.test ESMTP\r\n", INVALID_HTTP),
    "empty lines": (b"\r\n" * 100, INCOMPLETE_RESPONSE),
    "ICY": (b"ICY 200 OK\r\n\r\n", INVALID_HTTP),
    "SSH": (b"SSH-2.0-OpenSSH_9.2\r\n", INVALID_HTTP),
    "garbage": (bytes(range(256)), INVALID_HTTP),
    "NULs": (b"\x00" * 1000, INVALID_HTTP),
    "nothing": (b"", NO_RESPONSE),
}


@pytest.mark.parametrize(("wire", "failure"), INVALID.values(), ids=INVALID)
async def test_a_response_fails_with(wire: bytes, failure: Failure) -> None:
    assert await failure_of(responding_once(wire)) == failure


@pytest.mark.parametrize("script", [closing_at_once, resetting], ids=["an end", "a reset"])
async def test_a_request_fails_when_the_connection_ends_with(script: Script) -> None:
    assert await failure_of(script) == NO_RESPONSE


RESETS = {
    "before the response": (b"", NO_RESPONSE),
    "in the status line": (b"HTTP/1.1 2", INCOMPLETE_RESPONSE),
    "in the head": (HTTP + b"200 OK\r\nContent-", INCOMPLETE_RESPONSE),
    "after an interim response": (HTTP + b"103 E\r\n\r\n", INCOMPLETE_RESPONSE),
    "after the head": (HTTP + b"200 OK\r\nContent-Length: 2\r\n\r\n", INCOMPLETE_RESPONSE),
    "in the body": (HTTP + b"200 OK\r\nContent-Length: 2\r\n\r\nO", INCOMPLETE_RESPONSE),
    "in a chunk": (CHUNKED + b"5\r\nOK", INCOMPLETE_RESPONSE),
    # RFC 9112, section 8: only a proper end completes a body that ends with the connection.
    "in a body without a length": (HTTP + b"200 OK\r\n\r\nOK", INCOMPLETE_RESPONSE),
}


@pytest.mark.parametrize(("beginning", "failure"), RESETS.values(), ids=RESETS)
async def test_a_reset_is_a_failure(beginning: bytes, failure: Failure) -> None:
    assert await failure_of(resetting_after(beginning)) == failure


async def resetting_in_the_body(connection: Connection) -> None:
    await connection.head()
    connection.reset()


async def closing_in_the_body(connection: Connection) -> None:
    await connection.head()


@pytest.mark.parametrize("body", [b"{}", LARGE], ids=["small", "large"])
@pytest.mark.parametrize(
    "script", [resetting_in_the_body, closing_in_the_body], ids=["a reset", "an end"]
)
async def test_a_request_fails_when_its_body_is_interrupted_by(script: Script, body: bytes) -> None:
    outcome = await outcome_of(script, body=body)

    assert outcome.result == NO_RESPONSE


async def test_a_reset_after_a_complete_response_changes_nothing() -> None:
    response = await response_of(resetting_after(OK))

    assert (response.status, response.body) == (200, "OK")


async def test_a_port_without_a_listener_is_a_refused_connection() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        async with webhook_client() as client:
            outcome = await client.send(request_to(f"http://127.0.0.1:{bound.getsockname()[1]}/"))

    assert outcome.result == Failure(FailureKind.CONNECT, "could not connect: connection refused")
