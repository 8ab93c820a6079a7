"""Endless TLS records without data: the receiver is disconnected before they cost much."""

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from daemon.core.model.attempts import Failure, FailureKind, Outcome, Response
from daemon.egress import pool
from tests.egress.forged_records import DATA, HANDSHAKE, shake_hands
from tests.egress.loop_watch import MAX_ITERATION_SECONDS, watched_loop
from tests.support.certificates import Authority
from tests.support.client import FakeResolver, leak_check, request_to, webhook_client
from tests.support.daemons import until
from tests.support.hostile import OK, Connection, HostileServer, Script, hostile
from tests.support.hostile_crowds import HANDSHAKE_FLOODS

TICKET = b"\x04\x00\x00\x0e" + struct.pack(">IIBHBH", 7200, 1, 0, 1, 0x78, 0)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def version_1_3(authority: Authority, tmp_path: Path) -> ssl.SSLContext:
    context = authority.server("receiver.test")
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # so that the test sends the first record after the handshake
    context.keylog_filename = str(tmp_path / "keys")
    return context


@pytest.fixture
def version_1_2(authority: Authority, tmp_path: Path) -> ssl.SSLContext:
    context = authority.server("receiver.test")
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
    context.keylog_filename = str(tmp_path / "keys")
    return context


@asynccontextmanager
async def connected_receiver(
    script: Script, authority: Authority
) -> AsyncIterator[tuple[HostileServer, Callable[[], Awaitable[Outcome]]]]:
    """Yield a receiver, and a function that sends it a request."""
    names = FakeResolver(receiver=["127.0.0.1"])
    async with (
        webhook_client(tls=authority.trusted(), resolver=names) as client,
        hostile(script) as receiver,
    ):
        request = request_to(f"https://receiver.test:{receiver.port}/")
        yield receiver, lambda: client.send(request)


async def assert_disconnected_early(script: Script, authority: Authority) -> None:
    """Check that the deadline of 5 s is not reached and the loop never blocked."""
    async with leak_check(), connected_receiver(script, authority) as (receiver, send):
        async with watched_loop() as loop:
            outcome = await send()
        await until(lambda: receiver.open_now == 0)

    assert isinstance(outcome.result, Failure)
    assert outcome.result.kind in {FailureKind.TLS, FailureKind.PROTOCOL, FailureKind.DISCONNECTED}
    assert outcome.took_ms < 4000
    assert loop.longest_iteration_seconds < MAX_ITERATION_SECONDS


@pytest.mark.parametrize("script", HANDSHAKE_FLOODS.values(), ids=HANDSHAKE_FLOODS)
async def test_an_endless_handshake_is_a_failure(script: Script, authority: Authority) -> None:
    await assert_disconnected_early(script, authority)


@pytest.mark.parametrize("reply_requested", [False, True], ids=["without a reply", "with a reply"])
async def test_endless_key_updates_are_a_failure(
    reply_requested: bool, version_1_3: ssl.SSLContext, authority: Authority
) -> None:
    async def script(connection: Connection) -> None:
        sealer = await shake_hands(connection, version_1_3)
        while True:  # in a thread, so that this work does not block the loop
            await connection.send(
                await asyncio.to_thread(sealer.key_updates, 20_000, reply_requested=reply_requested)
            )

    await assert_disconnected_early(script, authority)


async def test_endless_session_tickets_are_a_failure(
    version_1_3: ssl.SSLContext, authority: Authority
) -> None:
    async def script(connection: Connection) -> None:
        sealer = await shake_hands(connection, version_1_3)
        while True:
            await connection.send(
                b"".join(sealer.record(HANDSHAKE, TICKET * 900) for _ in range(50))
            )

    await assert_disconnected_early(script, authority)


@pytest.mark.parametrize("in_a_record", [1, 4096])
async def test_endless_hello_requests_are_a_failure(
    in_a_record: int, version_1_2: ssl.SSLContext, authority: Authority
) -> None:
    async def script(connection: Connection) -> None:
        sealer = await shake_hands(connection, version_1_2)
        requests = bytes(4 * in_a_record)
        while True:
            await connection.send(b"".join(sealer.record(HANDSHAKE, requests) for _ in range(100)))

    await assert_disconnected_early(script, authority)


async def test_an_idle_connection_is_closed_under_a_flood_without_data(
    version_1_3: ssl.SSLContext, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "MAX_IDLE_SECONDS", 60.0)

    async def script(connection: Connection) -> None:
        sealer = await shake_hands(connection, version_1_3)
        await connection.send(sealer.record(DATA, OK))
        while True:
            await connection.send(sealer.record(HANDSHAKE, TICKET * 900))

    async with connected_receiver(script, authority) as (receiver, send):
        outcome = await send()
        await until(lambda: receiver.open_now == 0, within=10)

    assert isinstance(outcome.result, Response)


async def test_a_response_with_one_record_per_byte_is_read(
    version_1_3: ssl.SSLContext, authority: Authority
) -> None:
    async def script(connection: Connection) -> None:
        sealer = await shake_hands(connection, version_1_3)
        for byte in OK:
            await connection.send(sealer.record(DATA, bytes([byte])))
        await connection.wait_closed()

    async with connected_receiver(script, authority) as (_, send):
        outcome = await send()

    assert isinstance(outcome.result, Response)
    assert outcome.result.body == "OK"


async def test_tickets_and_a_key_update_before_each_response_are_no_failure(
    version_1_3: ssl.SSLContext, authority: Authority
) -> None:
    async def script(connection: Connection) -> None:
        sealer = await shake_hands(connection, version_1_3)
        while True:
            await connection.send(
                sealer.record(HANDSHAKE, TICKET * 40)
                + sealer.key_updates(1, reply_requested=False)
                + sealer.record(DATA, OK)
            )
            await connection.read_some()

    async with connected_receiver(script, authority) as (receiver, send):
        outcomes = [await send() for _ in range(50)]

    assert {type(outcome.result) for outcome in outcomes} == {Response}
    assert len(receiver.connections) == 1
