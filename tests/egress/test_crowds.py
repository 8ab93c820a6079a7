"""However many receivers misbehave at once, a good one does not notice."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import psutil
import pytest

from daemon.core.model.attempts import Failure, FailureKind, Outcome, Response
from daemon.egress.client import WebhookClient
from daemon.egress.resolver import CaresResolver
from tests.support.client import PUBLIC_ONLY, leak_check, request_to, webhook_client
from tests.support.hostile_crowds import CROWDS, hostile_process
from tests.support.nameserver import name_server, reply


@pytest.mark.parametrize("crowd", [name for name in CROWDS if name != "none"])
async def test_hundreds_of_hostile_receivers_are_not_noticed_by_a_good_one(crowd: str) -> None:
    scheme = "https" if "handshake" in crowd else "http"
    async with leak_check(), webhook_client(seconds=1.0) as client, heartbeat() as heart:
        with hostile_process(crowd) as bad, hostile_process("none") as good:
            url = bad.replace("http", scheme, 1)
            attacks = [asyncio.create_task(client.send(request_to(url))) for _ in range(200)]
            good_ones = await outcomes_during(attacks, client, good)

    assert {type(outcome.result) for outcome in good_ones} == {Response}
    assert sorted(outcome.took_ms for outcome in good_ones)[len(good_ones) // 2] < 100
    assert max(attack.result().took_ms for attack in attacks) < 3000
    assert heart.longest_turn < TURN_SECONDS
    assert heart.most_grown < 64 * 1024 * 1024


async def test_hundreds_of_names_that_nobody_looks_up_are_not_noticed_by_a_good_one() -> None:
    async with name_server() as server:
        server.answer = lambda name: None if name.startswith("dead") else ["127.0.0.1"]
        resolver = CaresResolver([server.address])
        async with (
            leak_check(),
            webhook_client(seconds=1.0, resolver=resolver) as client,
            heartbeat() as heart,
        ):
            with hostile_process("none") as good:
                url = good.replace("127.0.0.1", "good.test")
                attacks = [
                    asyncio.create_task(client.send(request_to(f"https://dead{n}.test/")))
                    for n in range(200)
                ]
                good_ones = await outcomes_during(attacks, client, url)

    assert {type(outcome.result) for outcome in good_ones} == {Response}
    assert sorted(outcome.took_ms for outcome in good_ones)[len(good_ones) // 2] < 100
    assert {attack.result().result for attack in attacks} == {
        Failure(FailureKind.TIMEOUT, "no complete response within 1 s")
    }
    assert max(attack.result().took_ms for attack in attacks) < 3000
    assert heart.longest_turn < TURN_SECONDS


async def test_names_with_as_many_addresses_as_a_reply_holds_do_not_hold_the_loop() -> None:
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
            await client.send(request_to("https://many.test/"))  # lets the forger do its work
            async with heartbeat() as heart:
                await asyncio.gather(
                    *(client.send(request_to("https://many.test/")) for _ in range(5))
                )

    assert heart.longest_turn < TURN_SECONDS


async def outcomes_during(
    attacks: Sequence[asyncio.Task[Outcome]], client: WebhookClient, url: str
) -> list[Outcome]:
    """One request after another until all attacks are over, and twenty at least."""
    outcomes: list[Outcome] = []
    while len(outcomes) < 20 or not all(attack.done() for attack in attacks):
        outcomes.append(await client.send(request_to(url)))
    return outcomes


# A tenth is the promise; a processor shared with others doubles it.
TURN_SECONDS = 0.25


class Heart:
    """
    How long the loop worked at most before it came round to us, in seconds, and how the process
    grew, in bytes.

    It is the thread's own time, so that other work on this machine is not mistaken for ours.
    """

    def __init__(self) -> None:
        self.longest_turn = 0.0
        self.most_grown = 0

    async def beat(self) -> None:
        process = psutil.Process()
        size = process.memory_info().rss
        while True:
            began = time.thread_time()
            await asyncio.sleep(0.001)  # what is read meanwhile holds us up, and so is counted
            self.longest_turn = max(self.longest_turn, time.thread_time() - began)
            self.most_grown = max(self.most_grown, process.memory_info().rss - size)


@asynccontextmanager
async def heartbeat() -> AsyncIterator[Heart]:
    heart = Heart()
    # A full collection of all that a thousand tests have left behind is not the client's turn.
    gc.disable()
    beating = asyncio.create_task(heart.beat())
    try:
        yield heart
    finally:
        beating.cancel()
        gc.enable()
