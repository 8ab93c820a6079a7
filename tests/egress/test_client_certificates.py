"""Mutual TLS: client certificates that webhooks present to their receivers."""

import asyncio
import ssl
from pathlib import Path

import pytest

from daemon.core.model.attempts import Failure, FailureKind, Outcome, Request, Response
from daemon.core.model.secrets import ClientCertificate
from tests.support.application import Application
from tests.support.certificates import Authority
from tests.support.client import FakeResolver, webhook_client
from tests.support.client_keys import encrypted_key, slow_certificate
from tests.support.daemons import serving, until
from tests.support.deliveries import settled
from tests.support.hostile import OK, Connection, HostileServer, hostile, responding_with


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def requiring_certificate(authority: Authority, host: str = "receiver.test") -> ssl.SSLContext:
    """Return the context of a receiver that requires a certificate from its authority."""
    context = authority.server(host)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=authority.pem)
    return context


def request(receiver: HostileServer, certificate: ClientCertificate | None) -> Request:
    return Request(f"https://receiver.test:{receiver.port}/", "", b"{}", client=certificate)


async def outcome_with(authority: Authority, certificate: ClientCertificate | None) -> Outcome:
    async with (
        hostile(responding_with(OK), tls=requiring_certificate(authority)) as receiver,
        webhook_client(
            tls=authority.trusted, resolver=FakeResolver(receiver=["127.0.0.1"])
        ) as client,
    ):
        return await client.send(request(receiver, certificate))


async def test_a_receiver_that_requires_a_certificate_receives_that_of_the_webhook(
    authority: Authority,
) -> None:
    outcome = await outcome_with(authority, authority.client("a-webhook"))

    assert isinstance(outcome.result, Response), outcome


async def test_a_receiver_that_requires_a_certificate_refuses_a_webhook_without_one(
    authority: Authority,
) -> None:
    outcome = await outcome_with(authority, None)

    assert isinstance(outcome.result, Failure)
    assert outcome.result.kind in {FailureKind.TLS, FailureKind.DISCONNECTED}


async def test_webhooks_with_different_certificates_never_share_a_connection(
    authority: Authority,
) -> None:
    seen: list[str] = []

    async def recording(connection: Connection) -> None:
        while True:
            await connection.request()
            seen.append(connection.peer_name)
            await connection.send(OK)

    one, other = authority.client("one"), authority.client("other")
    async with (
        hostile(recording, tls=requiring_certificate(authority)) as receiver,
        webhook_client(
            tls=authority.trusted, resolver=FakeResolver(receiver=["127.0.0.1"])
        ) as client,
    ):
        for certificate in (one, other, one, other):
            await client.send(request(receiver, certificate))

        assert len(receiver.connections) == 2

    assert seen == ["one", "other", "one", "other"]


UNUSABLE = {
    "text that is not PEM": ClientCertificate("not", "PEM"),
    "empty text": ClientCertificate("", ""),
    "a PEM without content": ClientCertificate(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", ""
    ),
}


@pytest.mark.parametrize("certificate", UNUSABLE.values(), ids=UNUSABLE)
async def test_a_certificate_that_cannot_be_used_fails_the_attempt(
    authority: Authority, certificate: ClientCertificate
) -> None:
    outcome = await outcome_with(authority, certificate)

    assert isinstance(outcome.result, Failure)
    assert outcome.result.kind is FailureKind.UNUSABLE
    assert outcome.result.message.startswith("the webhook's client certificate cannot be used: ")


async def test_the_key_of_another_certificate_cannot_be_used(authority: Authority) -> None:
    one, other = authority.client("one"), authority.client("other")

    outcome = await outcome_with(authority, ClientCertificate(one.certificate, other.key))

    assert outcome.result == Failure(
        FailureKind.UNUSABLE,
        "the webhook's client certificate cannot be used: the private key is not that of the first"
        " certificate",
    )


async def test_a_key_with_a_pass_phrase_is_refused_without_a_prompt(
    authority: Authority,
) -> None:
    outcome = await asyncio.wait_for(
        outcome_with(authority, authority.client("one", pass_phrase=b"secret")), 10
    )

    assert isinstance(outcome.result, Failure)
    assert outcome.result.kind is FailureKind.UNUSABLE


async def test_a_certificate_in_the_webhook_s_row_is_presented_and_its_key_sealed(
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
        hostile(responding_with(OK), tls=requiring_certificate(authority, "localhost")) as receiver,
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


OTHER_KEYS = (
    "the keys of the other certificates of its chain must be RSA of 2048 to 8192 bits, ECDSA with"
    " P-256, P-384, P-521 or a Brainpool curve, Ed25519 or Ed448"
)


@pytest.mark.parametrize(
    ("chain", "key", "reason"),
    [
        (
            "",
            encrypted_key(iterations=2**31 - 1),
            "its key has a pass phrase; give the key without one",
        ),
        (slow_certificate() * 9, None, OTHER_KEYS),
    ],
    ids=["a key with a pass phrase", "a chain that takes long to read"],
)
async def test_a_hostile_certificate_that_was_written_by_sql_fails_its_attempt_at_once(
    app: Application,
    database: str,
    authority: Authority,
    *,
    chain: str,
    key: str | None,
    reason: str,
) -> None:
    client, tenant = authority.client("a-webhook"), await app.tenant()
    async with (
        hostile(responding_with(OK), tls=requiring_certificate(authority, "localhost")) as receiver,
        serving(database, egress={"allow_networks": ["127.0.0.0/8", "::1/128"]}),
    ):
        webhook = await app.webhook(tenant, f"https://localhost:{receiver.port}/")
        await app.db.execute(
            "UPDATE webhooks SET client_certificate = $2, client_key = $3 WHERE id = $1",
            *(webhook, client.certificate + chain, key or client.key),
        )
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "failed", 1))

    assert receiver.connections == []
    failed = [each for each in await app.deliveries(webhook) if each["status"] == "failed"]
    assert [each["error_message"] for each in failed] == [
        f"the webhook's client certificate cannot be used: {reason}"
    ]
