"""TLS handshakes: no request is sent to a receiver that does not prove its name."""

import asyncio
import re
import ssl
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from daemon.core.model.attempts import Failure, FailureKind, Outcome, Response
from daemon.egress.tls_context import verifying_context
from tests.support.certificates import Authority
from tests.support.client import (
    INCOMPLETE_RESPONSE,
    INVALID_HTTP,
    LARGE,
    NO_RESPONSE,
    TIMED_OUT,
    FakeResolver,
    leak_check,
    request_to,
    webhook_client,
)
from tests.support.hostile import (
    HTTP,
    OK,
    Connection,
    HostileServer,
    Script,
    closing_after_first_bytes,
    closing_at_once,
    echoing,
    hostile,
    replying_to_hello,
    resetting,
    resetting_after,
    responding_once,
    responding_with,
    truncating_after,
)
from tests.support.hostile_crowds import MESSAGE_STARTED, ONE_BYTE_RECORD, SLOW, SLOW_HANDSHAKES


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


async def outcome_over_tls(
    script: Script, *, server: ssl.SSLContext | None, trusted: ssl.SSLContext, seconds: float = 5.0
) -> tuple[Outcome, HostileServer]:
    names = FakeResolver(receiver=["127.0.0.1"])
    async with (
        webhook_client(seconds=seconds, tls=trusted, resolver=names) as client,
        hostile(script, tls=server) as receiver,
    ):
        url = f"https://receiver.test:{receiver.port}/"
        await client.send(request_to(url))
        return await client.send(request_to(url)), receiver


async def test_https_works_and_reuses_its_connection(authority: Authority) -> None:
    outcome, receiver = await outcome_over_tls(
        responding_with(OK), server=authority.server("receiver.test"), trusted=authority.trusted()
    )

    assert isinstance(outcome.result, Response)
    assert outcome.result.body == "OK"
    assert len(receiver.requests) == 2
    assert len(receiver.connections) == 1


async def test_a_large_body_is_sent_over_tls(authority: Authority) -> None:
    names = FakeResolver(receiver=["127.0.0.1"])
    async with (
        webhook_client(tls=authority.trusted(), resolver=names) as client,
        hostile(responding_with(OK), tls=authority.server("receiver.test")) as receiver,
    ):
        outcome = await client.send(request_to(f"https://receiver.test:{receiver.port}/", LARGE))

    assert isinstance(outcome.result, Response)
    assert receiver.requests[0].endswith(LARGE)


async def test_a_certificate_of_an_unknown_authority_is_a_failure(authority: Authority) -> None:
    outcome, _ = await outcome_over_tls(
        responding_with(OK), server=authority.server("receiver.test"), trusted=verifying_context()
    )

    assert outcome.result == Failure(
        FailureKind.TLS,
        "the TLS certificate is not valid: unable to get local issuer certificate",
    )


async def test_a_self_signed_certificate_is_a_failure(authority: Authority) -> None:
    outcome, receiver = await outcome_over_tls(
        responding_with(OK),
        server=authority.server("receiver.test", self_signed=True),
        trusted=authority.trusted(),
    )

    assert outcome.result == Failure(
        FailureKind.TLS, "the TLS certificate is not valid: self-signed certificate"
    )
    assert receiver.requests == []


async def test_an_expired_certificate_is_a_failure(authority: Authority) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    outcome, receiver = await outcome_over_tls(
        responding_with(OK),
        server=authority.server("receiver.test", until=yesterday),
        trusted=authority.trusted(),
    )

    assert outcome.result == Failure(
        FailureKind.TLS, "the TLS certificate is not valid: certificate has expired"
    )
    assert receiver.requests == []


async def test_a_certificate_for_another_name_is_a_failure(authority: Authority) -> None:
    outcome, receiver = await outcome_over_tls(
        responding_with(OK), server=authority.server("other.test"), trusted=authority.trusted()
    )

    assert outcome.result == Failure(
        FailureKind.TLS,
        "the TLS certificate is not valid: Hostname mismatch, certificate is not valid for"
        " 'receiver.test'.",
    )
    assert receiver.requests == []


async def responding_in_plain_http(connection: Connection) -> None:
    await connection.send(HTTP + b"400 Bad Request\r\n\r\n")
    await connection.wait_closed()


def alert(number: int, *, fatal: bool = True) -> bytes:
    return bytes([21, 3, 1, 0, 2, 2 if fatal else 1, number])


OLD_SERVER_HELLO = b"\x16\x03\x02\x00\x2a\x02\x00\x00\x26\x03\x02" + b"r" * 32 + b"\x00\xc0\x13\x00"
HALF_A_SERVER_HELLO = b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03" + b"r" * 16

NOT_TLS = {
    "plain HTTP": responding_in_plain_http,
    "SSH": replying_to_hello(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "garbage": replying_to_hello(bytes(range(256))),
    "NULs": replying_to_hello(bytes(1000)),
    "the client's own hello": echoing,
    "TLS 1.1": replying_to_hello(OLD_SERVER_HELLO),
    "a protocol_version alert": replying_to_hello(alert(70)),
    "a handshake_failure alert": replying_to_hello(alert(40)),
    "an unknown alert": replying_to_hello(alert(238)),
    "a closing alert": replying_to_hello(alert(0, fatal=False)),
    "endless warnings": replying_to_hello(b"", again=alert(90, fatal=False) * 1000),
    "endless ChangeCipherSpecs": replying_to_hello(b"", again=b"\x14\x03\x03\0\x01\x01" * 1000),
    "endless empty records": replying_to_hello(b"", again=b"\x16\x03\x03\0\0" * 1000),
    "a message in records of one byte": replying_to_hello(
        MESSAGE_STARTED, again=ONE_BYTE_RECORD * 1000
    ),
    "a record of 64 KB": replying_to_hello(b"\x16\x03\x03\xff\xff", again=b"x" * 4096),
    "a message of 16 MB": replying_to_hello(b"\x16\x03\x03\x40\0\x02\xff\xff\xff" + b"x" * 16380),
    "application data": replying_to_hello(b"\x17\x03\x03\0\x10" + b"x" * 16),
}


@pytest.mark.parametrize("script", NOT_TLS.values(), ids=NOT_TLS)
async def test_a_handshake_fails_with_a_reason_when_the_receiver_sends(
    script: Script, authority: Authority
) -> None:
    async with leak_check():
        outcome, receiver = await outcome_over_tls(script, server=None, trusted=authority.trusted())

    assert isinstance(outcome.result, Failure)
    assert outcome.result.kind is FailureKind.TLS
    assert re.fullmatch("the [A-Za-z]+ [A-Za-z0-9: ]+", outcome.result.message)
    assert receiver.requests == []


CLOSED_IN_HANDSHAKE = Failure(
    FailureKind.TLS, "the receiver closed the connection during the TLS handshake"
)


async def ending_in_server_hello(connection: Connection) -> None:
    await connection.read_some()
    await connection.send(HALF_A_SERVER_HELLO)


async def resetting_in_server_hello(connection: Connection) -> None:
    await ending_in_server_hello(connection)
    connection.reset()


HANDSHAKE_ENDS = {
    "an end": closing_at_once,
    "a reset": resetting,
    "an end after the ClientHello": closing_after_first_bytes(reset=False),
    "a reset after the ClientHello": closing_after_first_bytes(reset=True),
    "an end in the ServerHello": ending_in_server_hello,
    "a reset in the ServerHello": resetting_in_server_hello,
}


@pytest.mark.parametrize("script", HANDSHAKE_ENDS.values(), ids=HANDSHAKE_ENDS)
async def test_a_handshake_fails_with(script: Script, authority: Authority) -> None:
    async with leak_check():
        outcome, _ = await outcome_over_tls(script, server=None, trusted=authority.trusted())

    assert outcome.result == CLOSED_IN_HANDSHAKE


FAILURES = {
    "an end": (closing_at_once, NO_RESPONSE),
    "a reset": (resetting, NO_RESPONSE),
    "an end before the response": (responding_once(b""), NO_RESPONSE),
    "a reset before the response": (resetting_after(b""), NO_RESPONSE),
    "a stream cut off before the response": (truncating_after(b""), NO_RESPONSE),
    "an end in the head": (responding_once(OK[:20]), INCOMPLETE_RESPONSE),
    "a reset in the head": (resetting_after(OK[:20]), INCOMPLETE_RESPONSE),
    "a stream cut off in the head": (truncating_after(OK[:20]), INCOMPLETE_RESPONSE),
    "an end in the body": (responding_once(OK[:-1]), INCOMPLETE_RESPONSE),
    "a reset in the body": (resetting_after(OK[:-1]), INCOMPLETE_RESPONSE),
    "a stream cut off in the body": (truncating_after(OK[:-1]), INCOMPLETE_RESPONSE),
    "a reset in a body without a length": (
        resetting_after(HTTP + b"200 OK\r\n\r\nOK"),
        INCOMPLETE_RESPONSE,
    ),
    "garbage": (responding_once(bytes(range(256))), INVALID_HTTP),
}


@pytest.mark.parametrize(("script", "failure"), FAILURES.values(), ids=FAILURES)
async def test_a_request_fails_when_its_handshake_is_followed_by(
    script: Script, failure: Failure, authority: Authority
) -> None:
    async with leak_check():
        outcome, _ = await outcome_over_tls(
            script, server=authority.server("receiver.test"), trusted=authority.trusted()
        )

    assert outcome.result == failure


COMPLETE = {
    "an end": responding_once(OK),
    "a reset": resetting_after(OK),
    "a stream cut off": truncating_after(OK),
    "a body that ends with the connection": responding_once(HTTP + b"200 OK\r\n\r\nOK"),
    # RFC 9112, section 9.8, regards this as incomplete. But some servers always close like this,
    # the status is beyond doubt, and after a failure the delivery would be repeated for nothing.
    "a body that ends with a stream cut off": truncating_after(HTTP + b"200 OK\r\n\r\nOK"),
}


@pytest.mark.parametrize("script", COMPLETE.values(), ids=COMPLETE)
async def test_a_response_over_tls_counts_when_it_is_followed_by(
    script: Script, authority: Authority
) -> None:
    outcome, _ = await outcome_over_tls(
        script, server=authority.server("receiver.test"), trusted=authority.trusted()
    )

    assert isinstance(outcome.result, Response)
    assert (outcome.result.status, outcome.result.body) == (200, "OK")


async def test_an_unfinished_handshake_ends_at_the_deadline(
    authority: Authority,
) -> None:
    async with leak_check():
        outcomes = await asyncio.gather(
            *(
                outcome_over_tls(script, server=None, trusted=authority.trusted(), seconds=0.5)
                for script in SLOW_HANDSHAKES.values()
            )
        )

    assert {outcome.result for outcome, _ in outcomes} == {TIMED_OUT}
    assert all(490 <= outcome.took_ms < 3000 for outcome, _ in outcomes), outcomes


async def test_a_slow_receiver_over_tls_is_disconnected_at_the_deadline(
    authority: Authority,
) -> None:
    names = FakeResolver(receiver=["127.0.0.1"])
    server = authority.server("receiver.test")
    async with leak_check(), AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            webhook_client(seconds=0.5, tls=authority.trusted(), resolver=names)
        )
        receivers = [
            await stack.enter_async_context(hostile(script, tls=server)) for script in SLOW.values()
        ]
        outcomes = await asyncio.gather(
            *(
                client.send(request_to(f"https://receiver.test:{each.port}/", LARGE))
                for each in receivers
            )
        )

    assert {outcome.result for outcome in outcomes} == {TIMED_OUT}
    assert all(490 <= outcome.took_ms < 3000 for outcome in outcomes), outcomes


async def test_a_receiver_may_send_unnecessary_certificates(authority: Authority) -> None:
    outcome, _ = await outcome_over_tls(
        responding_with(OK),
        server=authority.server("receiver.test", extra_certificates=40),  # some 16 KB
        trusted=authority.trusted(),
    )

    assert isinstance(outcome.result, Response)


async def test_tls_is_at_least_1_2_and_checks_names() -> None:
    context = verifying_context()

    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
