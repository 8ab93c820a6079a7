"""The deadline ends every request, however slow the receiver is."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from daemon.core.model.attempts import Failure, FailureKind, Outcome, Response
from tests.support.client import (
    LARGE,
    TIMED_OUT,
    UnansweredResolver,
    leak_check,
    outcome_of,
    request_to,
    webhook_client,
)
from tests.support.daemons import until
from tests.support.hostile import (
    HTTP,
    NEVER_NOTICES_CLOSE,
    OK,
    Connection,
    Script,
    hostile,
    responding_once,
)
from tests.support.hostile_crowds import SLOW


@pytest.mark.parametrize("body", [b"{}", LARGE], ids=["small", "large"])
async def test_a_slow_receiver_is_disconnected_at_the_deadline(body: bytes) -> None:
    async with leak_check():
        outcomes = await asyncio.gather(
            *(outcome_at_deadline(script, body) for script in SLOW.values())
        )

    assert {outcome.result for outcome in outcomes} == {TIMED_OUT}
    assert all(490 <= outcome.took_ms < 3000 for outcome in outcomes), outcomes


async def outcome_at_deadline(script: Script, body: bytes) -> Outcome:
    """Return the outcome after half a second; the connection must be closed by then."""
    async with webhook_client(seconds=0.5) as client, hostile(script) as receiver:
        outcome = await client.send(request_to(receiver.url, body))
        if script not in NEVER_NOTICES_CLOSE:
            await until(lambda: receiver.open_now == 0)
        return outcome


async def test_a_lookup_ends_at_the_deadline() -> None:
    async with webhook_client(seconds=0.2, resolver=UnansweredResolver()) as client:
        outcome = await client.send(request_to("http://receiver.test/"))

    assert outcome.result == Failure(FailureKind.TIMEOUT, "no complete response within 0.2 s")
    assert 190 <= outcome.took_ms < 3000


async def test_an_attempt_to_connect_ends_at_the_deadline() -> None:
    with full_backlog() as url:
        async with webhook_client(seconds=0.2) as client:
            outcome = await client.send(request_to(url))

    assert outcome.result == Failure(FailureKind.TIMEOUT, "no complete response within 0.2 s")


@contextmanager
def full_backlog() -> Iterator[str]:
    """Yield a URL whose backlog of connections is full: the next one never opens."""
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


async def test_the_time_taken_lasts_from_the_lookup_to_the_end_of_the_response() -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await asyncio.sleep(0.1)
        await connection.send(OK)

    began = time.monotonic()
    outcome = await outcome_of(script)

    assert 95 <= outcome.took_ms <= (time.monotonic() - began) * 1000 + 5


async def test_a_repeated_request_has_the_deadline_of_the_first() -> None:
    async def script(connection: Connection) -> None:
        if connection.number == 1:
            await connection.request()
            await connection.send(OK)
            await connection.request()
            await asyncio.sleep(1.9)  # then it closes the idle connection without a response
        else:
            await connection.wait_closed()

    async with webhook_client(seconds=2.0) as client, hostile(script) as receiver:
        await client.send(request_to(receiver.url))
        outcome = await client.send(request_to(receiver.url))

    assert len(receiver.connections) == 2
    assert outcome.result == Failure(FailureKind.TIMEOUT, "no complete response within 2 s")
    assert 1990 <= outcome.took_ms < 3800  # one of its own would have ended at 3900


async def test_a_thousand_requests_leave_no_file_open() -> None:
    wires = [OK, b"", b"garbage", HTTP + b"500 No\r\nContent-Length: 0\r\n\r\n", OK + b"x"]

    async def script(connection: Connection) -> None:
        await responding_once(wires[connection.number % len(wires)])(connection)

    outcomes: list[Outcome] = []
    async with leak_check(), webhook_client() as client, hostile(script) as receiver:
        for _ in range(20):
            outcomes += await asyncio.gather(
                *(client.send(request_to(receiver.url)) for _ in range(50))
            )

    statuses = [each.result.status for each in outcomes if isinstance(each.result, Response)]
    assert (len(outcomes), set(statuses)) == (1000, {200, 500})
