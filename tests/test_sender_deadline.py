"""However slow receivers are, the deadline is the end of it, and the others do not notice."""

import asyncio
import gc
import gzip
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import psutil
import pytest

from daemon.model import Answer, Failure, Fault, Outcome
from tests.hostile import (
    CHUNKED,
    HTTP,
    OK,
    SLOW,
    Script,
    Visit,
    deaf,
    hanging_up,
    hostile,
    hostile_apart,
    resetting,
    resetting_after,
    saying,
    saying_for_ever,
    saying_once,
)
from tests.house import until
from tests.sending import (
    LARGE,
    TOO_LATE,
    Unanswered,
    leaving_nothing,
    outcome_of,
    sending,
    to,
)


@pytest.mark.parametrize("body", [b"{}", LARGE], ids=["small", "large"])
async def test_whoever_takes_too_long_is_left_at_the_deadline(body: bytes) -> None:
    async with leaving_nothing():
        outcomes = await asyncio.gather(
            *(outcome_of_waiting_for(script, body) for script in SLOW.values())
        )

    assert {outcome.result for outcome in outcomes} == {TOO_LATE}
    assert all(490 <= outcome.took_ms < 3000 for outcome in outcomes), outcomes


async def outcome_of_waiting_for(script: Script, body: bytes) -> Outcome:
    """What comes of half a second, after which the receiver must be left."""
    async with sending(seconds=0.5) as sender, hostile(script) as receiver:
        outcome = await sender.send(to(receiver.url, body))
        if script is not deaf:
            await until(lambda: receiver.open_now == 0)
        return outcome


async def test_a_lookup_that_never_ends_is_left_at_the_deadline() -> None:
    async with sending(seconds=0.2, resolver=Unanswered()) as sender:
        outcome = await sender.send(to("http://receiver.test/"))

    assert outcome.result == Failure(Fault.TIMEOUT, "no complete answer within 0.2 s")
    assert 190 <= outcome.took_ms < 3000


async def test_a_connection_that_never_opens_is_left_at_the_deadline() -> None:
    with overrun() as url:
        async with sending(seconds=0.2) as sender:
            outcome = await sender.send(to(url))

    assert outcome.result == Failure(Fault.TIMEOUT, "no complete answer within 0.2 s")


@contextmanager
def overrun() -> Iterator[str]:
    """A URL where connections queue that nobody takes: the next one never opens."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        queued = [socket.socket() for _ in range(2)]
        for each in queued:
            each.setblocking(False)
            each.connect_ex(listening.getsockname())
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            for each in queued:
                each.close()


async def test_the_time_taken_is_that_from_the_lookup_to_the_end_of_the_answer() -> None:
    async def script(visit: Visit) -> None:
        await visit.request()
        await asyncio.sleep(0.1)
        await visit.say(OK)

    began = time.monotonic()
    outcome = await outcome_of(script)

    assert 95 <= outcome.took_ms <= (time.monotonic() - began) * 1000 + 5


PLAGUE: list[Script] = [
    *SLOW.values(),
    hanging_up,
    resetting,
    saying_for_ever(b"", (HTTP + b"103 E\r\n\r\n") * 100),
    saying_for_ever(HTTP + b"200 OK\r\n", b"X: a\r\n" * 500),
    saying_for_ever(HTTP + b"200 OK\r\n\r\n", b"x" * 4096),
    saying_for_ever(CHUNKED, b"1\r\nx\r\n" * 500),
    saying_for_ever(
        HTTP + b"200 OK\r\nContent-Encoding: gzip\r\n\r\n", gzip.compress(bytes(10**7))
    ),
    saying_once(bytes(range(256))),
    resetting_after(HTTP + b"200 OK\r\nContent-Length: 2\r\n\r\nO"),
]


async def test_hundreds_of_hostile_receivers_are_not_noticed_by_a_good_one() -> None:
    async def script(visit: Visit) -> None:
        await PLAGUE[visit.number % len(PLAGUE)](visit)

    async with leaving_nothing(), sending(seconds=1.0) as sender, heartbeat() as heart:
        with hostile_apart(script) as bad, hostile_apart(saying(OK)) as good:
            attacks = [asyncio.create_task(sender.send(to(bad))) for _ in range(200)]
            good_ones = []
            while not all(attack.done() for attack in attacks):
                good_ones.append(await sender.send(to(good)))

    assert {type(outcome.result) for outcome in good_ones} == {Answer}
    assert sorted(outcome.took_ms for outcome in good_ones)[len(good_ones) // 2] < 100
    assert max(attack.result().took_ms for attack in attacks) < 3000
    assert (
        heart.longest_turn < 0.25
    )  # a tenth is the promise; a processor shared with others doubles it
    assert heart.most_grown < 64 * 1024 * 1024


class Heart:
    """
    How long one turn of the loop worked at most, in seconds, and how the process grew, in bytes.

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
            await asyncio.sleep(0)
            self.longest_turn = max(self.longest_turn, time.thread_time() - began)
            self.most_grown = max(self.most_grown, process.memory_info().rss - size)
            await asyncio.sleep(0.001)


@asynccontextmanager
async def heartbeat() -> AsyncIterator[Heart]:
    heart = Heart()
    # A full collection of all that a thousand tests have left behind is not the sender's turn.
    gc.disable()
    beating = asyncio.create_task(heart.beat())
    try:
        yield heart
    finally:
        beating.cancel()
        gc.enable()


async def test_a_thousand_requests_leave_no_file_open() -> None:
    wires = [OK, b"", b"garbage", HTTP + b"500 No\r\nContent-Length: 0\r\n\r\n", OK + b"x"]

    async def script(visit: Visit) -> None:
        await saying_once(wires[visit.number % len(wires)])(visit)

    async with leaving_nothing(), sending() as sender, hostile(script) as receiver:
        for _ in range(20):
            await asyncio.gather(*(sender.send(to(receiver.url)) for _ in range(50)))
