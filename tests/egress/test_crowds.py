"""Hundreds of misbehaving receivers do not delay a well-behaved one."""

import asyncio
from collections.abc import Sequence

import pytest

from daemon.core.errors import PostponedError
from daemon.core.model.attempts import Failure, FailureKind, Outcome, Response
from daemon.egress.client import WebhookClient
from daemon.egress.resolver import CaresResolver
from tests.egress.loop_watch import MAX_ITERATION_SECONDS, watched_loop
from tests.support.client import PUBLIC_ONLY, leak_check, request_to, webhook_client
from tests.support.hostile_crowds import CROWDS, hostile_process
from tests.support.nameserver import name_server, reply

# The one of every kind, and one over https, show what the others show one by one.
SHORT_FORM = ("of every kind", "that never finish a handshake")


@pytest.mark.parametrize(
    "crowd",
    [
        pytest.param(name, marks=() if name in SHORT_FORM else pytest.mark.full)
        for name in CROWDS
        if name != "well-behaved"
    ],
)
async def test_hundreds_of_hostile_receivers_do_not_delay_a_good_one(crowd: str) -> None:
    scheme = "https" if "handshake" in crowd else "http"
    async with leak_check(), webhook_client(seconds=1.0) as client, watched_loop() as loop:
        with hostile_process(crowd) as bad, hostile_process("well-behaved") as good:
            url = bad.replace("http", scheme, 1)
            attacks = [asyncio.create_task(client.send(request_to(url))) for _ in range(200)]
            good_ones = await outcomes_during(attacks, client, good)

    assert {type(outcome.result) for outcome in good_ones} == {Response}
    assert sorted(outcome.took_ms for outcome in good_ones)[len(good_ones) // 2] < 100
    assert max(attack.result().took_ms for attack in attacks) < 3000
    assert loop.longest_iteration_seconds < MAX_ITERATION_SECONDS
    assert loop.memory_growth_bytes < 64 * 1024 * 1024


async def test_hundreds_of_lookups_without_a_reply_do_not_delay_a_good_receiver() -> None:
    async with name_server() as server:
        server.answer = lambda name: None if name.startswith("dead") else ["127.0.0.1"]
        resolver = CaresResolver([server.address])
        async with (
            leak_check(),
            webhook_client(seconds=1.0, resolver=resolver) as client,
            watched_loop() as loop,
        ):
            with hostile_process("well-behaved") as good:
                url = good.replace("127.0.0.1", "good.test")
                attacks = [
                    asyncio.create_task(client.send(request_to(f"https://dead{n}.test/")))
                    for n in range(200)
                ]
                good_ones = await outcomes_during(attacks, client, url)

    assert {type(outcome.result) for outcome in good_ones} == {Response}
    assert sorted(outcome.took_ms for outcome in good_ones)[len(good_ones) // 2] < 100
    # Those beyond the tenant's share of lookups wait for a place, and may be made later.
    waited = [attack for attack in attacks if isinstance(attack.exception(), PostponedError)]
    judged = [attack.result() for attack in attacks if attack not in waited]
    assert judged
    assert {outcome.result for outcome in judged} == {
        Failure(FailureKind.TIMEOUT, "no complete response within 1 s")
    }
    assert max(outcome.took_ms for outcome in judged) < 3000
    assert loop.longest_iteration_seconds < MAX_ITERATION_SECONDS


async def test_names_with_as_many_addresses_as_a_reply_holds_do_not_block_the_loop() -> None:
    addresses = [f"93.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(4000)]
    addresses += [*(f"2606:2800::{n:x}" for n in range(2300)), "::1"]
    replies: dict[bytes, bytes] = {}

    def forge(query: bytes) -> list[bytes]:
        if query[2:] not in replies:
            replies[query[2:]] = reply(query, addresses)[2:]
        return [query[:2] + replies[query[2:]]]

    async with name_server() as server:
        server.answer = lambda _: forge
        resolver = CaresResolver([server.address])
        async with webhook_client(PUBLIC_ONLY, resolver=resolver) as client:
            await client.send(request_to("https://many.test/"))  # builds the replies
            async with watched_loop() as loop:
                await asyncio.gather(
                    *(client.send(request_to("https://many.test/")) for _ in range(5))
                )

    assert loop.longest_iteration_seconds < MAX_ITERATION_SECONDS


async def outcomes_during(
    attacks: Sequence[asyncio.Task[Outcome]], client: WebhookClient, url: str
) -> list[Outcome]:
    """Send one request after another until all attacks are over, and twenty at least."""
    outcomes: list[Outcome] = []
    while len(outcomes) < 20 or not all(attack.done() for attack in attacks):
        outcomes.append(await client.send(request_to(url)))
    return outcomes
