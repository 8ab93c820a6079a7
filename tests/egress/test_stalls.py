"""What a late turn of the event loop changes: responses are read first, and silence is no proof."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from daemon.core.errors import StalledError
from daemon.core.model.attempts import Failure, FailureKind, Outcome, Response
from daemon.egress import deadline as deadlines
from daemon.egress.deadline import Deadline
from daemon.egress.loop_budget import LoopBudget
from daemon.runtime.stalls import StallWatch
from tests.support.client import INVALID_HTTP, TIMED_OUT, request_to, webhook_client
from tests.support.daemons import until
from tests.support.hostile import OK

Respond = Callable[[socket.socket], object]
STALL_SECONDS = 1.5


def stand_still(seconds: float) -> None:
    """Hold the event loop."""
    time.sleep(seconds)


@contextmanager
def in_thread(respond: Respond) -> Iterator[str]:
    """
    Yield the URL of a receiver in a thread, which goes on while the loop stands still.

    `respond` gets each connection with its request read; at the end of the block it is closed.
    """
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with listening.accept()[0] as connection:
                connection.recv(65536)
                respond(connection)
                ended.wait(10)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
        finally:
            ended.set()
            thread.join(10)


async def outcome_across_stall(respond: Respond) -> Outcome:
    """Send one request with half a second, during which the loop stands still for longer."""
    with in_thread(respond) as url:
        async with webhook_client(seconds=0.5, stalls=StallWatch()) as client:
            asyncio.get_running_loop().call_later(0.1, stand_still, STALL_SECONDS)
            return await client.send(request_to(url))


async def test_a_response_that_came_during_a_stall_counts() -> None:
    def respond(connection: socket.socket) -> None:
        time.sleep(0.3)
        connection.sendall(OK)

    outcome = await outcome_across_stall(respond)

    assert isinstance(outcome.result, Response)
    assert outcome.took_ms < STALL_SECONDS * 1000  # the stall is not the receiver's time


async def test_a_request_that_a_stall_interrupted_goes_on_and_is_not_repeated() -> None:
    """The receiver takes longer after the stall than was left of the deadline before it."""
    stalled = threading.Event()

    def respond(connection: socket.socket) -> None:
        stalled.wait(10)
        time.sleep(1.2)
        connection.sendall(OK)

    def stall() -> None:
        stand_still(2.0)
        stalled.set()

    with in_thread(respond) as url:
        async with webhook_client(seconds=2.0, stalls=StallWatch()) as client:
            asyncio.get_running_loop().call_later(0.1, stall)
            outcome = await client.send(request_to(url))

    assert isinstance(outcome.result, Response)
    assert outcome.took_ms < 2000


async def test_an_invalid_response_that_came_during_a_stall_counts() -> None:
    def respond(connection: socket.socket) -> None:
        time.sleep(0.3)
        connection.sendall(b"garbage\r\n\r\n")

    assert (await outcome_across_stall(respond)).result == INVALID_HTTP


async def test_an_attempt_without_a_response_after_a_stall_is_postponed() -> None:
    with pytest.raises(StalledError, match="stood still"):
        await outcome_across_stall(lambda _: None)


async def test_a_connection_that_broke_during_a_stall_is_no_failure() -> None:
    def respond(connection: socket.socket) -> None:
        time.sleep(0.3)
        connection.shutdown(socket.SHUT_RDWR)

    with pytest.raises(StalledError):
        await outcome_across_stall(respond)


async def test_a_stall_before_an_attempt_excuses_nothing() -> None:
    with in_thread(lambda _: None) as url:
        async with webhook_client(seconds=0.5, stalls=StallWatch()) as client:
            await client.send(request_to("http://127.0.0.1:1/"))  # starts the heartbeat
            stand_still(STALL_SECONDS)
            outcome = await client.send(request_to(url))

    assert outcome.result == TIMED_OUT


async def test_a_loop_that_is_slow_but_never_stalls_judges_as_ever() -> None:
    async def slow_turns() -> None:
        while True:
            stand_still(0.15)
            await asyncio.sleep(0)

    with in_thread(lambda _: None) as url:
        async with webhook_client(seconds=1.0, stalls=StallWatch()) as client:
            slow = asyncio.create_task(slow_turns())
            outcome = await client.send(request_to(url))
            slow.cancel()

    assert outcome.result == Failure(FailureKind.TIMEOUT, "no complete response within 1 s")


async def test_a_response_counts_that_is_ready_in_the_same_turn_as_its_deadline() -> None:
    """Turns of a third of a second are no stall: yet what came in time must be read first."""

    def respond(connection: socket.socket) -> None:
        time.sleep(0.3)
        connection.sendall(OK)

    with in_thread(respond) as url:
        async with webhook_client(seconds=0.4, stalls=StallWatch()) as client:
            asyncio.get_running_loop().call_later(0.2, stand_still, 0.35)
            outcome = await client.send(request_to(url))

    assert isinstance(outcome.result, Response)


async def test_tls_work_that_waits_at_the_deadline_is_done_before_it_is_judged() -> None:
    order: list[str] = []
    budget = LoopBudget(seconds=1.0, clock=lambda: float(len(order))).of(None)
    for _ in range(50):  # one in each turn
        budget.run_later(lambda: order.append("work"))
    deadline = Deadline(0.0, stalls=StallWatch(), budget=budget)

    deadline.start(lambda: order.append("expired"))
    await until(lambda: "expired" in order)

    assert order == ["work"] * 50 + ["expired"]


async def test_a_deadline_is_judged_in_the_end_though_the_loop_stalls_all_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class AlwaysStalled(StallWatch):
        def grace_left(self) -> float:
            return 1.0

    monkeypatch.setattr(deadlines, "MAX_GRACE_SECONDS", 0.3)
    expired = asyncio.Event()
    deadline = Deadline(0.0, stalls=AlwaysStalled(), budget=LoopBudget().of(None))

    deadline.start(expired.set)

    assert await asyncio.wait_for(expired.wait(), 10)


async def test_a_stopped_deadline_never_expires() -> None:
    expired = asyncio.Event()
    deadline = Deadline(0.0, stalls=StallWatch(), budget=LoopBudget().of(None))
    deadline.start(expired.set)
    await asyncio.sleep(0)

    deadline.stop()
    await asyncio.sleep(0.05)

    assert not expired.is_set()
