"""Nothing is said to a receiver that cannot prove its name."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest

from daemon.model import Answer, Failure, Fault, Outcome
from daemon.tls import verifying_context
from tests.certificates import Authority
from tests.hostile import (
    HTTP,
    OK,
    Hostile,
    Script,
    Visit,
    hanging_up,
    hostile,
    resetting,
    saying,
    silent,
)
from tests.sending import LARGE, TOO_LATE, Names, leaving_nothing, sending, to


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


async def outcome_over_tls(
    script: Script, *, server: ssl.SSLContext | None, trusted: ssl.SSLContext, seconds: float = 5.0
) -> tuple[Outcome, Hostile]:
    names = Names(receiver=["127.0.0.1"])
    async with (
        sending(seconds=seconds, tls=trusted, resolver=names) as sender,
        hostile(script, tls=server) as receiver,
    ):
        url = f"https://receiver.test:{receiver.port}/"
        await sender.send(to(url))
        return await sender.send(to(url)), receiver


async def test_https_works_and_keeps_its_connection(authority: Authority) -> None:
    outcome, receiver = await outcome_over_tls(
        saying(OK), server=authority.server("receiver.test"), trusted=authority.trusted()
    )

    assert isinstance(outcome.result, Answer)
    assert outcome.result.body == "OK"
    assert len(receiver.requests) == 2
    assert len(receiver.visits) == 1


async def test_a_large_body_goes_over_tls_whole(authority: Authority) -> None:
    names = Names(receiver=["127.0.0.1"])
    async with (
        sending(tls=authority.trusted(), resolver=names) as sender,
        hostile(saying(OK), tls=authority.server("receiver.test")) as receiver,
    ):
        outcome = await sender.send(to(f"https://receiver.test:{receiver.port}/", LARGE))

    assert isinstance(outcome.result, Answer)
    assert receiver.requests[0].endswith(LARGE)


async def test_a_certificate_of_an_unknown_authority_is_a_failure(authority: Authority) -> None:
    outcome, _ = await outcome_over_tls(
        saying(OK), server=authority.server("receiver.test"), trusted=verifying_context()
    )

    assert outcome.result == Failure(
        Fault.TLS,
        "the TLS certificate is not valid: unable to get local issuer certificate",
    )


async def test_a_self_signed_certificate_is_a_failure(authority: Authority) -> None:
    outcome, receiver = await outcome_over_tls(
        saying(OK),
        server=authority.server("receiver.test", self_signed=True),
        trusted=authority.trusted(),
    )

    assert outcome.result == Failure(
        Fault.TLS, "the TLS certificate is not valid: self-signed certificate"
    )
    assert receiver.requests == []


async def test_an_expired_certificate_is_a_failure(authority: Authority) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    outcome, receiver = await outcome_over_tls(
        saying(OK),
        server=authority.server("receiver.test", until=yesterday),
        trusted=authority.trusted(),
    )

    assert outcome.result == Failure(
        Fault.TLS, "the TLS certificate is not valid: certificate has expired"
    )
    assert receiver.requests == []


async def test_a_certificate_for_another_name_is_a_failure(authority: Authority) -> None:
    outcome, receiver = await outcome_over_tls(
        saying(OK), server=authority.server("other.test"), trusted=authority.trusted()
    )

    assert outcome.result == Failure(
        Fault.TLS,
        "the TLS certificate is not valid: Hostname mismatch, certificate is not valid for"
        " 'receiver.test'.",
    )
    assert receiver.requests == []


async def speaking_plainly(visit: Visit) -> None:
    await visit.say(HTTP + b"400 Bad Request\r\n\r\n")
    await visit.left()


TLS_FAULTS = {
    "plain HTTP": (
        speaking_plainly,
        Failure(Fault.TLS, "the TLS handshake failed: wrong version number"),
    ),
    "an end": (
        hanging_up,
        Failure(Fault.TLS, "the connection was closed during the TLS handshake"),
    ),
    "a reset": (
        resetting,
        Failure(Fault.TLS, "the connection was closed during the TLS handshake"),
    ),
    "silence": (silent, TOO_LATE),
}


@pytest.mark.parametrize(("script", "failure"), TLS_FAULTS.values(), ids=TLS_FAULTS)
async def test_it_is_a_failure_to_meet_a_handshake_with(
    script: Script, failure: Failure, authority: Authority
) -> None:
    async with leaving_nothing():
        outcome, _ = await outcome_over_tls(
            script, server=None, trusted=authority.trusted(), seconds=0.5
        )

    assert outcome.result == failure


async def test_tls_is_at_least_1_2_with_names_checked_and_http_1_1_alone() -> None:
    context = verifying_context()

    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname
