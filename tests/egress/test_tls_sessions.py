"""Sessions with client certificates: few contexts, one thread, and nobody else's certificate."""

import asyncio
import ssl
import threading
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from daemon.core.model.attempts import Request, Response
from daemon.core.model.ids import TenantId
from daemon.core.model.secrets import ClientCertificate
from daemon.egress import client_certificate, tls_context
from daemon.egress.client_certificate import UnusableCertificateError
from daemon.egress.tls_context import TlsSessions
from tests.support.certificates import Authority, Key
from tests.support.client import FakeResolver, webhook_client
from tests.support.hostile import OK, Connection, hostile

TENANTS = [TenantId(UUID(int=number)) for number in range(10)]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def clients(authority: Authority) -> list[ClientCertificate]:
    """Two of each kind of key, in an order in which OpenSSL prefers those of earlier ones."""
    keys: dict[str, Key] = {
        "ec": ec.generate_private_key(ec.SECP256R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate(),
        "rsa": rsa.generate_private_key(65537, 2048),
    }
    return [
        authority.client(f"{kind}-{number}", key=key)
        for number in range(2)
        for kind, key in keys.items()
    ]


class Contexts:
    """Makes contexts, and notes in which threads."""

    def __init__(self) -> None:
        self.threads: list[str] = []

    def __call__(self) -> ssl.SSLContext:
        self.threads.append(threading.current_thread().name)
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


async def test_each_webhook_presents_its_own_certificate_whatever_others_have(
    authority: Authority, clients: list[ClientCertificate]
) -> None:
    seen: dict[str, str] = {}

    async def recording(connection: Connection) -> None:
        path = (await connection.request()).split(b" ")[1].decode()
        seen[path] = connection.peer_name
        await connection.send(OK)

    receiving = authority.server("receiver.test")
    receiving.verify_mode = ssl.CERT_REQUIRED
    receiving.load_verify_locations(cadata=authority.pem)
    async with (
        hostile(recording, tls=receiving) as receiver,
        webhook_client(
            tls=authority.trusted, resolver=FakeResolver(receiver=["127.0.0.1"])
        ) as client,
    ):
        url = f"https://receiver.test:{receiver.port}"
        outcomes = await asyncio.gather(
            *(
                client.send(Request(f"{url}/{at}", "", b"{}", client=each))
                for at, each in enumerate(clients)
            )
        )

    assert all(isinstance(each.result, Response) for each in outcomes), outcomes
    assert [seen[f"/{at}"] for at in range(6)] == [
        *("ec-0", "ed25519-0", "rsa-0", "ec-1", "ed25519-1", "rsa-1")
    ]


async def test_contexts_are_made_for_kinds_of_keys_in_a_thread_not_for_certificates(
    authority: Authority, clients: list[ClientCertificate]
) -> None:
    contexts = Contexts()
    sessions = TlsSessions(contexts)
    more = [authority.client(f"more-{number}") for number in range(20)]

    await asyncio.gather(
        *(
            sessions.begin("receiver.test", each, tenant_id=TENANTS[at % 10])
            for at, each in enumerate(clients + more)
        )
    )
    sessions.close()

    assert len(contexts.threads) == 1 + 3
    assert threading.current_thread().name not in contexts.threads[1:]


async def test_one_tenant_s_certificates_delay_another_s_by_the_present_one(
    authority: Authority,
) -> None:
    sessions = TlsSessions(Contexts())
    order: list[TenantId] = []

    async def begin(tenant_id: TenantId) -> None:
        await sessions.begin("receiver.test", authority.client("any"), tenant_id=tenant_id)
        order.append(tenant_id)

    many = [asyncio.create_task(begin(TENANTS[0])) for _ in range(20)]
    await asyncio.sleep(0)
    await asyncio.gather(begin(TENANTS[1]), *many)
    sessions.close()

    assert order.index(TENANTS[1]) <= 2


async def test_a_certificate_that_cannot_be_used_leaves_the_next_one_usable(
    authority: Authority,
) -> None:
    sessions = TlsSessions(Contexts())
    one, other = authority.client("one"), authority.client("other")

    with pytest.raises(UnusableCertificateError):
        await sessions.begin(
            "receiver.test", ClientCertificate(one.certificate, other.key), tenant_id=TENANTS[0]
        )
    await sessions.begin("receiver.test", other, tenant_id=TENANTS[0])
    sessions.close()


async def test_only_certificates_used_last_are_remembered_as_judged(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_context, "JUDGED_KEPT", 2)
    judged: list[ClientCertificate] = []
    judge = client_certificate.judge_client

    def counted(client: ClientCertificate) -> ClientCertificate:
        judged.append(client)
        return judge(client)

    monkeypatch.setattr(tls_context, "judge_client", counted)
    sessions = TlsSessions(Contexts())
    one, two, three = (authority.client(name) for name in ("one", "two", "three"))

    for each in (one, two, one, three, one, two):
        await sessions.begin("receiver.test", each, tenant_id=TENANTS[0])
    sessions.close()

    assert judged == [one, two, three, two]
