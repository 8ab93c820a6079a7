"""mTLS: a webhook that shows its receiver a certificate of its own."""

import asyncio
import ssl
from pathlib import Path

import pytest

from daemon.core.model.attempts import Failure, FailureKind, Outcome, Request, Response
from daemon.core.model.secrets import ClientCertificate
from tests.pipeline.test_delivery import settled
from tests.support.application import Application
from tests.support.certificates import Authority
from tests.support.client import FakeResolver, webhook_client
from tests.support.daemons import serving, until
from tests.support.hostile import OK, Hostile, Visit, hostile, saying


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def demanding(authority: Authority, host: str = "receiver.test") -> ssl.SSLContext:
    """A receiver that talks only to whom its own authority knows."""
    context = authority.server(host)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=authority.pem)
    return context


def request(receiver: Hostile, client: ClientCertificate | None) -> Request:
    return Request(f"https://receiver.test:{receiver.port}/", (), b"{}", client=client)


async def outcome_with(authority: Authority, client: ClientCertificate | None) -> Outcome:
    async with (
        hostile(saying(OK), tls=demanding(authority)) as receiver,
        webhook_client(
            tls=authority.trusted, resolver=FakeResolver(receiver=["127.0.0.1"])
        ) as sender,
    ):
        return await sender.send(request(receiver, client))


async def test_a_receiver_that_demands_a_certificate_is_shown_the_webhook_s(
    authority: Authority,
) -> None:
    outcome = await outcome_with(authority, authority.client("a-webhook"))

    assert isinstance(outcome.result, Response), outcome


async def test_without_a_certificate_it_is_the_receiver_that_refuses(authority: Authority) -> None:
    outcome = await outcome_with(authority, None)

    assert isinstance(outcome.result, Failure)
    assert outcome.result.fault in {FailureKind.TLS, FailureKind.DISCONNECTED}


async def test_webhooks_with_different_certificates_never_share_a_connection(
    authority: Authority,
) -> None:
    seen: list[str] = []

    async def noting(visit: Visit) -> None:
        while True:
            await visit.request()
            seen.append(visit.peer_name)
            await visit.say(OK)

    one, other = authority.client("one"), authority.client("other")
    async with (
        hostile(noting, tls=demanding(authority)) as receiver,
        webhook_client(
            tls=authority.trusted, resolver=FakeResolver(receiver=["127.0.0.1"])
        ) as sender,
    ):
        for client in (one, other, one, other):
            await sender.send(request(receiver, client))

        assert len(receiver.visits) == 2

    assert seen == ["one", "other", "one", "other"]


UNUSABLE = {
    "no certificate": ClientCertificate("nothing", "of use"),
    "no key": ClientCertificate("", ""),
    "a PEM without content": ClientCertificate(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", ""
    ),
}


@pytest.mark.parametrize("client", UNUSABLE.values(), ids=UNUSABLE)
async def test_a_certificate_that_cannot_be_used_fails_the_attempt(
    authority: Authority, client: ClientCertificate
) -> None:
    outcome = await outcome_with(authority, client)

    assert isinstance(outcome.result, Failure)
    assert outcome.result.fault is FailureKind.UNUSABLE
    assert outcome.result.message.startswith("the webhook's client certificate cannot be used: ")


async def test_another_certificate_s_key_cannot_be_used(authority: Authority) -> None:
    one, other = authority.client("one"), authority.client("other")

    outcome = await outcome_with(authority, ClientCertificate(one.certificate, other.key))

    assert outcome.result == Failure(
        FailureKind.UNUSABLE, "the webhook's client certificate cannot be used: key values mismatch"
    )


async def test_a_key_with_a_pass_phrase_is_refused_and_nobody_is_asked_for_it(
    authority: Authority,
) -> None:
    outcome = await asyncio.wait_for(
        outcome_with(authority, authority.client("one", pass_phrase=b"secret")), 10
    )

    assert isinstance(outcome.result, Failure)
    assert outcome.result.fault is FailureKind.UNUSABLE


async def test_the_certificate_stands_in_the_webhook_s_row_and_its_key_is_sealed(
    app: Application,
    database: str,
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "authority.pem").write_text(authority.pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    client, tenant = authority.client("a-webhook"), await app.tenant()
    async with (
        hostile(saying(OK), tls=demanding(authority, "localhost")) as receiver,
        serving(
            database,
            egress={"allow_networks": ["127.0.0.0/8", "::1/128"]},
            security={"master_keys": ["k" * 32]},
        ),
    ):
        webhook = await app.webhook(tenant, f"https://localhost:{receiver.port}/")
        await app.db.execute(
            "UPDATE webhooks SET client_certificate = $2, client_key = $3 WHERE id = $1",
            *(webhook, client.certificate, client.key),
        )

        async def sealed() -> bool:
            return str((await app.health(webhook))["client_key"]).startswith("sealed:")

        await until(sealed)
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))

    assert len(receiver.requests) == 1
