"""FakeResolver that a name server answers badly: looked up by the client with its real resolver."""

import asyncio
import re
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from daemon.core.model.attempts import Failure, FailureKind, Outcome, Response
from daemon.egress.client import WebhookClient
from daemon.egress.resolver import CaresResolver
from tests.support.client import TIMED_OUT, request_to, webhook_client
from tests.support.hostile import OK, hostile, saying
from tests.support.nameserver import (
    NO_SUCH_NAME,
    REFUSED,
    SERVER_FAILED,
    Forgery,
    NameServer,
    name_server,
    reply,
)
from tests.support.nameserver import Answer as Told


@asynccontextmanager
async def asking(*, seconds: float = 5.0) -> AsyncIterator[tuple[NameServer, WebhookClient]]:
    """A name server, and a client that asks it."""
    async with name_server() as server:
        resolver = CaresResolver([server.address])
        async with webhook_client(seconds=seconds, resolver=resolver) as client:
            yield server, client


async def outcome_when_told(told: Told, *, seconds: float = 5.0) -> tuple[Outcome, int]:
    """What comes of a request to receiver.test, and how many connections a receiver saw."""
    async with asking(seconds=seconds) as (server, client), hostile(saying(OK)) as receiver:
        server.answer = lambda _: told
        outcome = await client.send(request_to(f"http://receiver.test:{receiver.port}/"))
        return outcome, len(receiver.visits)


LOOPBACKS = [f"127.{n >> 8}.{n & 255}.1" for n in range(1000)]

FOUND = {
    "an address": ["127.0.0.1"],
    "an alias": ["other.test", "127.0.0.1"],
    "aliases of aliases": [*(f"alias{n}.test" for n in range(10)), "127.0.0.1"],
    "more addresses than a datagram holds": ["127.0.0.1", *LOOPBACKS[:100]],
    "a thousand addresses": ["127.0.0.1", *LOOPBACKS],
}


@pytest.mark.parametrize("told", FOUND.values(), ids=FOUND)
async def test_a_receiver_is_found_by(told: Sequence[str]) -> None:
    outcome, _ = await outcome_when_told(told)

    assert isinstance(outcome.result, Response)


FORBIDDEN = {
    "an address": ["10.0.0.1"],
    "an alias": ["inner.test", "10.0.0.1"],
    "one address of two": ["127.0.0.1", "10.0.0.1"],
    "an IPv6 address beside one of IPv4": ["127.0.0.1", "::1"],
    "an IPv4 address in one of IPv6": ["127.0.0.1", "::ffff:10.0.0.1"],
    "the last of a thousand addresses": [*LOOPBACKS, "169.254.169.254"],
}


@pytest.mark.parametrize("told", FORBIDDEN.values(), ids=FORBIDDEN)
async def test_a_name_is_refused_that_leads_to_a_forbidden_place_by(told: Sequence[str]) -> None:
    outcome, connections = await outcome_when_told(told)

    assert outcome.result == Failure(FailureKind.REFUSED_TARGET, "the host's address is not public")
    assert connections == 0


def saying_in_dns(*records: bytes, claimed: int = 1) -> Forgery:
    """A reply of these bytes after the question, as if they were `claimed` records."""

    def forge(query: bytes) -> Sequence[bytes]:
        proper = reply(query, [])
        return [proper[:6] + struct.pack(">H", claimed) + proper[8:] + b"".join(records)]

    return forge


ITSELF = b"\xc0\x0c"
UNKNOWN: dict[str, Told] = {
    "does not exist": NO_SUCH_NAME,
    "has no address": [],
    "has thousands of addresses": [f"127.{n >> 8}.{n & 255}.1" for n in range(2000)],
    "is an alias of nothing": ["other.test"],
    "its server fails on": SERVER_FAILED,
    "its server refuses to tell": REFUSED,
    "is answered with an error nobody knows": 15,
    "is answered with its own question": lambda query: [query],
    "is answered with NULs": lambda query: [query[:2] + bytes(100)],
    "is answered with half a head": lambda query: [query[:6]],
    "is answered with garbage": lambda query: [query[:2] + bytes(range(256))],
    "is answered with fewer records than were promised": saying_in_dns(claimed=3),
    "is answered with a record that goes on too long": saying_in_dns(
        ITSELF + struct.pack(">HHIH", 1, 1, 0, 999) + b"\x7f\0\0\1"
    ),
    "is answered with an address of three bytes": saying_in_dns(
        ITSELF + struct.pack(">HHIH", 1, 1, 0, 3) + b"\x7f\0\0"
    ),
    "is answered with a name that leads into itself": saying_in_dns(
        struct.pack(">H", 0xC000 | 30) * 2 + struct.pack(">HHIH", 1, 1, 0, 4) + b"\x7f\0\0\1"
    ),
}


@pytest.mark.parametrize("told", UNKNOWN.values(), ids=UNKNOWN)
async def test_it_is_a_failed_lookup_and_no_address_is_told_when_a_name(told: Told) -> None:
    outcome, connections = await outcome_when_told(told)

    assert isinstance(outcome.result, Failure)
    assert outcome.result.fault is FailureKind.LOOKUP
    assert re.fullmatch(
        r"the host name receiver\.test could not be resolved: [A-Za-z ]+", outcome.result.message
    )
    assert connections == 0


def another_id(query: bytes) -> bytes:
    return bytes([query[0] ^ 1]) + reply(query, ["10.0.0.1"])[1:]


def another_name(query: bytes) -> bytes:
    return reply(query.replace(b"receiver", b"deceiver"), ["10.0.0.1"])


STRANGE = {"another id": another_id, "another name": another_name}


@pytest.mark.parametrize("strange", STRANGE.values(), ids=STRANGE)
async def test_what_answers_another_question_is_not_listened_to(
    strange: Callable[[bytes], bytes],
) -> None:
    def forge(query: bytes) -> Sequence[bytes]:
        return [strange(query), reply(query, ["127.0.0.1"])]

    outcome, _ = await outcome_when_told(forge)

    assert isinstance(outcome.result, Response)


SILENCES: list[Told] = [
    None,
    lambda query: [another_id(query)],
    lambda query: [another_name(query)],
]


async def test_a_name_that_nobody_answers_for_is_left_at_the_deadline() -> None:
    outcomes = await asyncio.gather(*(outcome_when_told(told, seconds=0.5) for told in SILENCES))

    assert {outcome.result for outcome, _ in outcomes} == {TIMED_OUT}
    assert all(490 <= outcome.took_ms < 3000 for outcome, _ in outcomes), outcomes


async def test_a_dead_name_of_a_live_server_is_a_failed_lookup_before_the_deadline() -> None:
    async with asking() as (server, client):
        server.answer = lambda name: None if name == "dead.test" else NO_SUCH_NAME
        for n in range(5):  # until c-ares has learnt how fast the server is
            await client.send(request_to(f"http://nobody{n}.test/"))
        outcome = await client.send(request_to("http://dead.test/"))

    assert outcome.result == Failure(
        FailureKind.LOOKUP,
        "the host name dead.test could not be resolved: Timeout while contacting DNS servers",
    )
