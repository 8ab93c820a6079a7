"""Certificate chains that take OpenSSL long to read hold up their own tenant, and nobody else."""

import asyncio
import ssl
import threading
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from daemon.core.model.attempts import Failure, FailureKind, Request, Response
from daemon.core.model.ids import TenantId
from daemon.egress import slow_chains, tls_context
from daemon.egress.server_hello import HELLO_REQUEST
from daemon.egress.slow_chains import SlowChains
from daemon.egress.tls_session import RefusedTlsError, TlsSession
from tests.egress.forged_records import DATA, HANDSHAKE, shake_hands
from tests.egress.loop_watch import MAX_ITERATION_SECONDS, watched_loop
from tests.support.certificates import Authority
from tests.support.client import FakeResolver, leak_check, request_to, webhook_client
from tests.support.daemons import until
from tests.support.hostile import OK, Connection, hostile, responding_with
from tests.support.hostile_crowds import slow_chain

TOO_SLOW = Failure(
    FailureKind.TLS,
    "the TLS handshake failed: the receiver's certificate chain takes too long to read",
)
ONE, OTHER = TenantId(UUID(int=1)), TenantId(UUID(int=2))


SLOW = slow_chain(2)


def request_of(tenant: TenantId, host: str, port: int) -> Request:
    return replace(request_to(f"https://{host}.test:{port}/"), tenant_id=tenant)


async def test_a_chain_that_takes_long_to_read_fails_its_endpoint_and_holds_up_nobody() -> None:
    authority = Authority()
    names = FakeResolver(evil=["127.0.0.1"], good=["127.0.0.1"])
    async with (
        leak_check(),
        webhook_client(tls=authority.trusted(), resolver=names, seconds=30.0) as client,
        hostile(SLOW) as evil,
        hostile(responding_with(OK), tls=authority.server("good.test")) as good,
        watched_loop() as loop,
    ):
        slow = asyncio.create_task(client.send(request_of(ONE, "evil", evil.port)))
        await until(lambda: evil.open_now == 1)
        during = await client.send(request_of(OTHER, "good", good.port))
        was_slow_by_then = not slow.done()
        own = await client.send(request_of(ONE, "good", good.port))  # waits for the slow one
        first = await slow
        second = await client.send(request_of(ONE, "evil", evil.port))

    assert isinstance(during.result, Response)
    assert was_slow_by_then
    assert isinstance(own.result, Response)
    assert first.result == second.result == TOO_SLOW
    assert len(evil.connections) == 1
    assert loop.longest_iteration_seconds < MAX_ITERATION_SECONDS


async def test_a_chain_that_outlasts_the_deadline_is_a_timeout_and_refused_from_then_on() -> None:
    names = FakeResolver(evil=["127.0.0.1"])
    async with webhook_client(resolver=names, seconds=0.2) as client, hostile(SLOW) as evil:
        first = await client.send(request_of(ONE, "evil", evil.port))
        request = request_of(ONE, "evil", evil.port)

        async def refused() -> bool:
            return (await client.send(request)).result == TOO_SLOW

        await until(refused, within=30)

    assert isinstance(first.result, Failure)
    assert first.result.kind is FailureKind.TIMEOUT


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_sixty_endpoints_of_a_tenant_with_long_chains_are_all_connected_to(
    version: ssl.TLSVersion, authority_of_rsa: Authority
) -> None:
    server = authority_of_rsa.server("good.test", extra_certificates=5)
    server.minimum_version = server.maximum_version = version
    names = FakeResolver(good=["127.0.0.1"])
    async with (
        webhook_client(tls=authority_of_rsa.trusted(), resolver=names, seconds=30.0) as client,
        hostile(responding_with(OK), tls=server) as good,
    ):
        outcomes = await asyncio.gather(
            *(client.send(request_of(ONE, "good", good.port)) for _ in range(60))
        )

    assert {type(outcome.result) for outcome in outcomes} == {Response}
    assert len(good.connections) == 60


async def test_another_handshake_that_a_server_asks_for_runs_in_a_thread_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, readers = Authority(), list[str]()
    server = authority.server("good.test")
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    server.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    server.keylog_filename = str(tmp_path / "keys")

    class RecordingSession(TlsSession):
        def read(self) -> bytes:
            readers.append(threading.current_thread().name)
            return super().read()

    async def script(connection: Connection) -> None:
        sealer = await shake_hands(connection, server)
        readers.clear()
        await connection.send(sealer.record(HANDSHAKE, HELLO_REQUEST + bytes(3)))
        hello = await connection.read_some()
        readers.append(f"a record of type {hello[0]}")
        await connection.send(sealer.record(DATA, OK))
        await connection.wait_closed()

    monkeypatch.setattr(tls_context, "TlsSession", RecordingSession)
    names = FakeResolver(good=["127.0.0.1"])
    async with (
        webhook_client(tls=authority.trusted(), resolver=names) as client,
        hostile(script) as good,
    ):
        outcome = await client.send(request_of(ONE, "good", good.port))

    assert isinstance(outcome.result, Response)
    assert readers[0] == "tls-handshake"
    assert "a record of type 22" in readers


@pytest.fixture(scope="module")
def authority_of_rsa() -> Authority:
    """Signs with RSA of 4,096 bits."""
    return Authority(key=rsa.generate_private_key(65537, 4096))


class Loop:
    """A loop whose time stands still."""

    now = 1000.0

    def time(self) -> float:
        return self.now


def is_refused(chains: SlowChains, tenant: TenantId, host: str) -> bool:
    try:
        chains.check(tenant, host)
    except RefusedTlsError:
        return True
    return False


def test_a_host_is_refused_for_longer_each_time_and_only_to_its_tenant(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop, lengths = Loop(), []
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: loop)
    chains = SlowChains()
    assert not is_refused(chains, ONE, "evil.test")
    for _ in range(8):
        began = loop.now
        chains.add(ONE, "evil.test")
        chains.add(ONE, "evil.test")  # by another handshake at the same time
        assert not is_refused(chains, OTHER, "evil.test")
        assert not is_refused(chains, ONE, "good.test")
        while is_refused(chains, ONE, "evil.test"):
            loop.now += 60.0
        lengths.append((loop.now - began) / 60)

    assert lengths == [2, 4, 8, 16, 32, 60, 60, 60]
    loop.now += slow_chains.FRESH_AFTER_SECONDS
    chains.add(ONE, "evil.test")
    loop.now += slow_chains.FIRST_SECONDS
    assert not is_refused(chains, ONE, "evil.test")
