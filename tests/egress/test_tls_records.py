"""TLS records without an end that hold no answer: whoever sends them is left, and costs little."""

import asyncio
import hmac
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from daemon.core.model.attempts import Failure, FailureKind, Outcome, Response
from daemon.egress import pool
from tests.egress.test_crowds import TURN_SECONDS, heartbeat
from tests.support.certificates import Authority
from tests.support.client import FakeResolver, leak_check, request_to, webhook_client
from tests.support.daemons import until
from tests.support.hostile import OK, Hostile, Script, Visit, hostile
from tests.support.hostile_crowds import HANDSHAKE_FLOODS

HANDSHAKE, DATA = 22, 23
TICKET = b"\x04\x00\x00\x0e" + struct.pack(">IIBHBH", 7200, 1, 0, 1, 0x78, 0)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def version_1_3(authority: Authority, tmp_path: Path) -> ssl.SSLContext:
    context = authority.server("receiver.test")
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0  # so that the first record after the handshake is ours
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
async def visited_by_a_sender(
    script: Script, authority: Authority
) -> AsyncIterator[tuple[Hostile, Callable[[], Awaitable[Outcome]]]]:
    """The receiver, and what sends it a request."""
    names = FakeResolver(receiver=["127.0.0.1"])
    async with (
        webhook_client(tls=authority.trusted(), resolver=names) as client,
        hostile(script) as receiver,
    ):
        request = request_to(f"https://receiver.test:{receiver.port}/")
        yield receiver, lambda: client.send(request)


async def assert_left_early(script: Script, authority: Authority) -> None:
    """Before the deadline of 5 s, and before the loop was held."""
    async with leak_check(), visited_by_a_sender(script, authority) as (receiver, send):
        async with heartbeat() as heart:
            outcome = await send()
        await until(lambda: receiver.open_now == 0)

    assert isinstance(outcome.result, Failure)
    assert outcome.result.fault in {FailureKind.TLS, FailureKind.PROTOCOL, FailureKind.DISCONNECTED}
    assert outcome.took_ms < 4000
    assert heart.longest_turn < TURN_SECONDS


@pytest.mark.parametrize("script", HANDSHAKE_FLOODS.values(), ids=HANDSHAKE_FLOODS)
async def test_an_endless_handshake_is_a_failure(script: Script, authority: Authority) -> None:
    await assert_left_early(script, authority)


@pytest.mark.parametrize("wanted", [False, True], ids=["as they are", "wanting one back"])
async def test_endless_changes_of_the_key_are_a_failure(
    wanted: bool, version_1_3: ssl.SSLContext, authority: Authority
) -> None:
    async def script(visit: Visit) -> None:
        seal = await shake_hands(visit, version_1_3)
        while True:  # made in a thread, so that the forger's work is not the loop's
            await visit.say(await asyncio.to_thread(seal.key_updates, 20_000, wanted=wanted))

    await assert_left_early(script, authority)


async def test_endless_session_tickets_are_a_failure(
    version_1_3: ssl.SSLContext, authority: Authority
) -> None:
    async def script(visit: Visit) -> None:
        seal = await shake_hands(visit, version_1_3)
        while True:
            await visit.say(b"".join(seal.record(HANDSHAKE, TICKET * 900) for _ in range(50)))

    await assert_left_early(script, authority)


@pytest.mark.parametrize("in_a_record", [1, 4096])
async def test_endless_requests_for_another_handshake_are_a_failure(
    in_a_record: int, version_1_2: ssl.SSLContext, authority: Authority
) -> None:
    async def script(visit: Visit) -> None:
        seal = await shake_hands(visit, version_1_2)
        requests = bytes(4 * in_a_record)
        while True:
            await visit.say(b"".join(seal.record(HANDSHAKE, requests) for _ in range(100)))

    await assert_left_early(script, authority)


async def test_a_kept_connection_is_closed_under_a_flood_that_holds_no_data(
    version_1_3: ssl.SSLContext, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "MAX_IDLE_SECONDS", 60.0)

    async def script(visit: Visit) -> None:
        seal = await shake_hands(visit, version_1_3)
        await visit.say(seal.record(DATA, OK))
        while True:
            await visit.say(seal.record(HANDSHAKE, TICKET * 900))

    async with visited_by_a_sender(script, authority) as (receiver, send):
        outcome = await send()
        await until(lambda: receiver.open_now == 0, within=10)

    assert isinstance(outcome.result, Response)


async def test_an_answer_is_read_whose_every_byte_is_a_record(
    version_1_3: ssl.SSLContext, authority: Authority
) -> None:
    async def script(visit: Visit) -> None:
        seal = await shake_hands(visit, version_1_3)
        for byte in OK:
            await visit.say(seal.record(DATA, bytes([byte])))
        await visit.wait_closed()

    async with visited_by_a_sender(script, authority) as (_, send):
        outcome = await send()

    assert isinstance(outcome.result, Response)
    assert outcome.result.body == "OK"


async def test_tickets_and_a_change_of_the_key_before_each_answer_are_no_failure(
    version_1_3: ssl.SSLContext, authority: Authority
) -> None:
    async def script(visit: Visit) -> None:
        seal = await shake_hands(visit, version_1_3)
        while True:
            await visit.say(
                seal.record(HANDSHAKE, TICKET * 40)
                + seal.key_updates(1, wanted=False)
                + seal.record(DATA, OK)
            )
            await visit.read_some()

    async with visited_by_a_sender(script, authority) as (receiver, send):
        outcomes = [await send() for _ in range(50)]

    assert {type(outcome.result) for outcome in outcomes} == {Response}
    assert len(receiver.visits) == 1


class Seal:
    """What a server needs to make records of its own, whatever TLS thinks of them."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._take_keys()

    def record(self, kind: int, data: bytes) -> bytes:
        """A record of TLS 1.3 (RFC 8446, sections 5.2 and 5.3)."""
        inner = data + bytes([kind])
        head = struct.pack(">BHH", DATA, 0x0303, len(inner) + 16)
        nonce = self._iv ^ self._made
        self._made += 1
        return head + self._key.encrypt(nonce.to_bytes(12), inner, head)

    def key_updates(self, count: int, *, wanted: bool) -> bytes:
        """So many changes of our key (RFC 8446, section 7.2); `wanted` asks for theirs."""
        records = []
        for _ in range(count):
            records.append(self.record(HANDSHAKE, b"\x18\x00\x00\x01" + bytes([wanted])))
            self._secret = _derived(self._secret, b"traffic upd", 48)
            self._take_keys()
        return b"".join(records)

    def _take_keys(self) -> None:
        self._key = AESGCM(_derived(self._secret, b"key", 32))
        self._iv = int.from_bytes(_derived(self._secret, b"iv", 12))
        self._made = 0


class OldSeal(Seal):
    """The same for TLS 1.2 (RFC 5246, sections 6.2.3.3 and 6.3; RFC 5288)."""

    def __init__(self, secret: bytes, client: bytes, server: bytes) -> None:
        block = _expanded(secret, b"key expansion" + server + client)
        self._key = AESGCM(block[16:32])
        self._salt = block[36:40]
        self._made = 1  # the server's Finished was number 0

    def record(self, kind: int, data: bytes) -> bytes:
        number = struct.pack(">Q", self._made)
        self._made += 1
        sealed = self._key.encrypt(
            self._salt + number, data, number + struct.pack(">BHH", kind, 0x0303, len(data))
        )
        return struct.pack(">BHH", kind, 0x0303, len(sealed) + 8) + number + sealed


async def shake_hands(visit: Visit, context: ssl.SSLContext) -> Seal:
    """An honest handshake and a request to answer, after which the keys are ours."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_side=True)
    heard = said = b""
    done = False
    while not done:
        with suppress(ssl.SSLWantReadError):
            tls.do_handshake()
            done = True
        if outgoing.pending:
            more = outgoing.read()
            said += more
            await visit.say(more)
        if not done:
            more = await visit.read_some()
            heard += more
            incoming.write(more)
    if not incoming.pending:  # of the request, which nobody reads
        await visit.read_some()
    return _seal_of(context, heard[11:43], said[11:43])


def _seal_of(context: ssl.SSLContext, client: bytes, server: bytes) -> Seal:
    """By what the context has logged of its keys, and what either hello holds at random."""
    for line in Path(context.keylog_filename).read_text().splitlines():
        match line.split():
            case ["SERVER_TRAFFIC_SECRET_0", random, secret] if random == client.hex():
                return Seal(bytes.fromhex(secret))
            case ["CLIENT_RANDOM", random, secret] if random == client.hex():
                return OldSeal(bytes.fromhex(secret), client, server)
    raise AssertionError("the handshake left no keys")


def _derived(secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand-Label of TLS_AES_256_GCM_SHA384; one block is enough."""
    info = struct.pack(">HB", length, len(label) + 6) + b"tls13 " + label + b"\x00"
    return hmac.digest(secret, info + b"\x01", "sha384")[:length]


def _expanded(secret: bytes, seed: bytes) -> bytes:
    """Two blocks of P_SHA256."""
    first = hmac.digest(secret, seed, "sha256")
    second = hmac.digest(secret, first, "sha256")
    return b"".join(hmac.digest(secret, each + seed, "sha256") for each in (first, second))
