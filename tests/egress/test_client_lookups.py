"""Replies of name servers, valid and forged, to the client's real resolver."""

import asyncio
import re
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from daemon.core.model.attempts import Failure, FailureKind, Outcome, Response
from daemon.egress.client import WebhookClient
from daemon.egress.resolver import CaresResolver
from tests.support.client import NO_PUBLIC_ADDRESS, TIMED_OUT, request_to, webhook_client
from tests.support.hostile import OK, hostile, responding_with
from tests.support.nameserver import (
    NO_SUCH_NAME,
    REFUSED,
    SERVER_FAILED,
    Answer,
    Forgery,
    NameServer,
    name_server,
    reply,
)


@asynccontextmanager
async def client_of_name_server(
    *, seconds: float = 5.0
) -> AsyncIterator[tuple[NameServer, WebhookClient]]:
    """Yield a name server, and a client that sends its lookups there."""
    async with name_server() as server:
        resolver = CaresResolver([server.address])
        async with webhook_client(seconds=seconds, resolver=resolver) as client:
            yield server, client


async def outcome_when_answered(answer: Answer, *, seconds: float = 5.0) -> tuple[Outcome, int]:
    """Return the outcome of a request to receiver.test, and how many connections it made."""
    async with (
        client_of_name_server(seconds=seconds) as (server, client),
        hostile(responding_with(OK)) as receiver,
    ):
        server.answer = lambda _: answer
        outcome = await client.send(request_to(f"http://receiver.test:{receiver.port}/"))
        return outcome, len(receiver.connections)


LOOPBACKS = [f"127.{n >> 8}.{n & 255}.1" for n in range(1000)]

FOUND = {
    "an address": ["127.0.0.1"],
    "an alias": ["other.test", "127.0.0.1"],
    "aliases of aliases": [*(f"alias{n}.test" for n in range(10)), "127.0.0.1"],
    "more addresses than a datagram holds": ["127.0.0.1", *LOOPBACKS[:100]],
}


@pytest.mark.parametrize("answer", FOUND.values(), ids=FOUND)
async def test_a_receiver_is_reached_by(answer: Sequence[str]) -> None:
    outcome, _ = await outcome_when_answered(answer)

    assert isinstance(outcome.result, Response)


FORBIDDEN: dict[str, Answer] = {
    "an address": ["10.0.0.1"],
    "an alias": ["inner.test", "10.0.0.1"],
    "one address of two": ["127.0.0.1", "10.0.0.1"],
    "an IPv6 address beside one of IPv4": ["127.0.0.1", "::1"],
    "an IPv4 address in one of IPv6": ["127.0.0.1", "::ffff:10.0.0.1"],
    "the last of a hundred addresses": [*LOOPBACKS[:99], "169.254.169.254"],
}
ABSENT: dict[str, Answer] = {
    "does not exist": NO_SUCH_NAME,
    "has no address": [],
    "is an alias of a name without an address": ["other.test"],
    "is answered with its own question": lambda query: [query],
}


@pytest.mark.parametrize("answer", FORBIDDEN.values(), ids=FORBIDDEN)
async def test_a_name_is_refused_when_it_resolves_to_a_forbidden_address_by(
    answer: Answer,
) -> None:
    outcome, connections = await outcome_when_answered(answer)

    assert outcome.result == NO_PUBLIC_ADDRESS
    assert connections == 0


@pytest.mark.parametrize("answer", ABSENT.values(), ids=ABSENT)
async def test_the_outcome_is_the_same_when_a_name(answer: Answer) -> None:
    outcome, _ = await outcome_when_answered(answer)

    assert outcome.result == NO_PUBLIC_ADDRESS


def forged(*records: bytes, claimed: int = 1) -> Forgery:
    """Reply with these bytes after the question, as if they were `claimed` records."""

    def forge(query: bytes) -> Sequence[bytes]:
        valid = reply(query, [])
        return [valid[:6] + struct.pack(">H", claimed) + valid[8:] + b"".join(records)]

    return forge


QUESTION_NAME = b"\xc0\x0c"
UNKNOWN: dict[str, Answer] = {
    "has a thousand addresses": LOOPBACKS,
    "its server fails on": SERVER_FAILED,
    "its server refuses to look up": REFUSED,
    "is answered with an unknown error": 15,
    "is answered with NULs": lambda query: [query[:2] + bytes(100)],
    "is answered with half a head": lambda query: [query[:6]],
    "is answered with garbage": lambda query: [query[:2] + bytes(range(256))],
    "is answered with fewer records than were claimed": forged(claimed=3),
    "is answered with a record longer than the reply": forged(
        QUESTION_NAME + struct.pack(">HHIH", 1, 1, 0, 999) + b"\x7f\0\0\1"
    ),
    "is answered with an address of three bytes": forged(
        QUESTION_NAME + struct.pack(">HHIH", 1, 1, 0, 3) + b"\x7f\0\0"
    ),
    "is answered with a name that points to itself": forged(
        struct.pack(">H", 0xC000 | 30) * 2 + struct.pack(">HHIH", 1, 1, 0, 4) + b"\x7f\0\0\1"
    ),
}


@pytest.mark.parametrize("answer", UNKNOWN.values(), ids=UNKNOWN)
async def test_a_lookup_fails_and_its_message_has_no_address_when_a_name(answer: Answer) -> None:
    outcome, connections = await outcome_when_answered(answer)

    assert isinstance(outcome.result, Failure)
    assert outcome.result.kind is FailureKind.LOOKUP
    assert re.fullmatch(
        r"the host name receiver\.test could not be resolved: [A-Za-z ]+", outcome.result.message
    )
    assert connections == 0


def another_id(query: bytes) -> bytes:
    return bytes([query[0] ^ 1]) + reply(query, ["10.0.0.1"])[1:]


def another_name(query: bytes) -> bytes:
    return reply(query.replace(b"receiver", b"deceiver"), ["10.0.0.1"])


FORGERIES = {"another id": another_id, "another name": another_name}


@pytest.mark.parametrize("forgery", FORGERIES.values(), ids=FORGERIES)
async def test_a_reply_to_another_question_is_ignored(
    forgery: Callable[[bytes], bytes],
) -> None:
    def forge(query: bytes) -> Sequence[bytes]:
        return [forgery(query), reply(query, ["127.0.0.1"])]

    outcome, _ = await outcome_when_answered(forge)

    assert isinstance(outcome.result, Response)


SILENCES: list[Answer] = [
    None,
    lambda query: [another_id(query)],
    lambda query: [another_name(query)],
]


async def test_a_lookup_without_a_reply_ends_at_the_deadline() -> None:
    outcomes = await asyncio.gather(
        *(outcome_when_answered(answer, seconds=0.5) for answer in SILENCES)
    )

    assert {outcome.result for outcome, _ in outcomes} == {TIMED_OUT}
    assert all(490 <= outcome.took_ms < 3000 for outcome, _ in outcomes), outcomes


async def test_a_name_without_a_reply_from_a_working_server_fails_before_the_deadline() -> None:
    async with client_of_name_server() as (server, client):
        server.answer = lambda name: None if name == "dead.test" else NO_SUCH_NAME
        for n in range(5):  # until c-ares has measured how fast the server replies
            await client.send(request_to(f"http://missing{n}.test/"))
        outcome = await client.send(request_to("http://dead.test/"))

    assert outcome.result == Failure(
        FailureKind.LOOKUP,
        "the host name dead.test could not be resolved: Timeout while contacting DNS servers",
    )
