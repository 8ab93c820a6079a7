"""Connections are reused where that is safe, and closed in every other case."""

import asyncio
import socket
from dataclasses import replace
from functools import partialmethod
from itertools import product
from uuid import UUID

import pytest

from daemon.core.model.attempts import Request, Response
from daemon.core.model.ids import TenantId
from daemon.egress import pool
from daemon.egress.client import WebhookClient
from tests.support.certificates import Authority
from tests.support.client import (
    INCOMPLETE_RESPONSE,
    LARGE,
    NO_RESPONSE,
    TIMED_OUT,
    FakeResolver,
    UnansweredResolver,
    leak_check,
    request_to,
    send_plainly,
    send_twice,
    webhook_client,
)
from tests.support.daemons import until
from tests.support.hostile import (
    HTTP,
    NEVER_NOTICES_CLOSE,
    OK,
    Connection,
    HostileServer,
    Script,
    hostile,
    resetting_after,
    responding_once,
    responding_with,
    silent,
    truncating_after,
)
from tests.support.hostile_crowds import SLOW


@pytest.fixture(autouse=True, params=["send", "begin"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test is run for both ways of sending a request on a kept connection."""
    if request.param == "begin":
        plainly = partialmethod(send_plainly, otherwise=WebhookClient.send)
        monkeypatch.setattr(WebhookClient, "send", plainly)


async def test_a_kept_connection_that_hangs_is_judged_at_the_deadline() -> None:
    async def second_time(connection: Connection) -> None:
        await responding_once(OK)(connection)
        await silent(connection)

    async with (
        leak_check(),
        webhook_client(seconds=0.5) as client,
        hostile(second_time) as receiver,
    ):
        first = await client.send(request_to(receiver.url))
        second, third = await asyncio.gather(*(client.send(request_to(receiver.url)) for _ in "ab"))

    assert isinstance(first.result, Response)
    assert TIMED_OUT in (second.result, third.result)


@pytest.mark.parametrize(("usual", "own"), [(0.5, 60.0), (60.0, 0.5)])
async def test_a_request_has_a_timeout_of_its_own_beside_others(usual: float, own: float) -> None:
    async def second_time(connection: Connection) -> None:
        await responding_once(OK)(connection)
        await silent(connection)

    async with (
        leak_check(),
        webhook_client(seconds=usual) as client,
        hostile(second_time) as receiver,
    ):
        plain = request_to(receiver.url)
        requests = [plain, replace(plain, timeout_seconds=own)]
        kept = await asyncio.gather(*(client.send(each) for each in requests))
        # Each on one of the connections that are open.
        sent = [asyncio.create_task(client.send(each)) for each in requests]
        await until(lambda: any(each.done() for each in sent))
        ended = [each.done() for each in sent]
        outcomes = [each.result() for each in sent if each.done()]
        for each in sent:
            each.cancel()
        await asyncio.gather(*sent, return_exceptions=True)

    assert all(isinstance(each.result, Response) for each in kept)
    assert ended == [usual < own, own < usual]
    assert [each.result for each in outcomes] == [TIMED_OUT]


async def test_the_request_after_a_success_reuses_its_connection() -> None:
    first, second, connections = await send_twice(responding_with(OK))

    assert first.result == second.result
    assert connections == 1


NOT_KEPT = {
    "a failure": HTTP + b"500 No\r\nContent-Length: 0\r\n\r\n",
    "a redirect": HTTP + b"302 No\r\nContent-Length: 0\r\n\r\n",
    "Connection: close": OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
    "HTTP/1.0": OK.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "bytes after the body": OK + b"x",
    "a second response": OK + OK,
    "a body that was cut off": HTTP + b"200 OK\r\nContent-Length: 99999\r\n\r\n" + b"x" * 99999,
    "a 204 with a body": HTTP + b"204 No Content\r\nContent-Length: 5\r\n\r\nhello",
}


@pytest.mark.parametrize("wire", NOT_KEPT.values(), ids=NOT_KEPT)
async def test_a_connection_is_not_kept_after(wire: bytes) -> None:
    first, second, connections = await send_twice(responding_with(wire))

    assert first.result == second.result
    assert connections == 2


async def test_a_response_before_the_request_is_read_counts_and_ends_the_connection() -> None:
    async def script(connection: Connection) -> None:
        await connection.head()
        await connection.send(OK)
        await connection.wait_closed()

    async with webhook_client() as client, hostile(script) as receiver:
        first = await client.send(request_to(receiver.url, LARGE * 8))
        second = await client.send(request_to(receiver.url))

    assert isinstance(first.result, Response)
    assert first.result == second.result
    assert len(receiver.connections) == 2


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "script",
    [responding_once(OK), resetting_after(OK), truncating_after(OK)],
    ids=["in good order", "with a reset", "without a closing alert"],
)
async def test_an_idle_connection_that_the_receiver_closed_is_not_reused(
    script: Script, scheme: str
) -> None:
    authority = Authority()
    names = FakeResolver(receiver=["127.0.0.1"])
    server = authority.server("receiver.test") if scheme == "https" else None
    async with (
        webhook_client(resolver=names, tls=authority.trusted()) as client,
        hostile(script, tls=server) as receiver,
    ):
        url = f"{scheme}://receiver.test:{receiver.port}/"
        outcomes = [await client.send(request_to(url)) for _ in range(20)]

    assert isinstance(outcomes[0].result, Response)
    assert {outcome.result for outcome in outcomes} == {outcomes[0].result}
    assert len(receiver.requests) == 20


@pytest.mark.parametrize("reset", [False, True], ids=["an end", "a reset"])
async def test_a_request_lost_on_a_closing_idle_connection_is_sent_once_more(
    reset: bool,
) -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(OK)
        await connection.request()
        if reset:
            connection.reset()

    first, second, connections = await send_twice(script)

    assert isinstance(first.result, Response)
    assert first.result == second.result
    assert connections == 2


async def test_a_request_is_never_sent_a_third_time() -> None:
    async def script(connection: Connection) -> None:
        if connection.number == 1:
            await connection.request()
            await connection.send(OK)
        await connection.request()

    async with webhook_client() as client, hostile(script) as receiver:
        await client.send(request_to(receiver.url))
        outcome = await client.send(request_to(receiver.url))

    assert outcome.result == NO_RESPONSE
    assert len(receiver.requests) == 3


async def test_a_request_is_not_sent_again_after_any_byte_of_a_response() -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(OK)
        await connection.request()
        await connection.send(b"H")

    async with webhook_client() as client, hostile(script) as receiver:
        await client.send(request_to(receiver.url))
        outcome = await client.send(request_to(receiver.url))

    assert outcome.result == INCOMPLETE_RESPONSE
    assert len(receiver.requests) == 2


async def test_a_request_on_a_new_connection_is_not_sent_again() -> None:
    async with webhook_client() as client, hostile(responding_once(b"")) as receiver:
        outcome = await client.send(request_to(receiver.url))

    assert outcome.result == NO_RESPONSE
    assert len(receiver.requests) == 1


async def test_unsolicited_bytes_end_an_idle_connection() -> None:
    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(OK)
        if connection.number == 1:
            await asyncio.sleep(0.01)
            await connection.send(HTTP + b"500 Unsolicited\r\nContent-Length: 0\r\n\r\n")
        await connection.wait_closed()

    async with webhook_client() as client, hostile(script) as receiver:
        await client.send(request_to(receiver.url))
        await until(lambda: receiver.open_now == 0)
        outcome = await client.send(request_to(receiver.url))

    assert isinstance(outcome.result, Response)
    assert outcome.result.status == 200
    assert len(receiver.connections) == 2


async def test_unsolicited_unread_bytes_never_become_the_next_response() -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)

        async def respond_to_a_connection() -> socket.socket:
            connection, _ = await loop.sock_accept(listening)
            await loop.sock_recv(connection, 65536)
            await loop.sock_sendall(connection, OK)
            return connection

        async with webhook_client() as client:
            request = request_to(f"http://127.0.0.1:{listening.getsockname()[1]}/")
            first, old = await asyncio.gather(client.send(request), respond_to_a_connection())
            responding = asyncio.create_task(respond_to_a_connection())
            old.send(HTTP + b"500 Unsolicited\r\nContent-Length: 0\r\n\r\n")
            second = await client.send(request)  # before the loop could read it
            responding.cancel()

    assert isinstance(first.result, Response)
    assert second.result == first.result
    for connection in (old, responding.result()):
        connection.close()


async def test_an_idle_connection_is_closed_before_receivers_close_theirs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool, "MAX_IDLE_SECONDS", 0.05)
    async with webhook_client() as client, hostile(responding_with(OK)) as receiver:
        await client.send(request_to(receiver.url))
        await until(lambda: receiver.open_now == 0)


async def test_a_connection_that_was_idle_for_too_long_is_not_reused_before_the_sweep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with webhook_client() as client, hostile(responding_with(OK)) as receiver:
        await client.send(request_to(receiver.url))
        monkeypatch.setattr(pool, "MAX_IDLE_SECONDS", 0.0)
        await client.send(request_to(receiver.url))

    assert len(receiver.connections) == 2


@pytest.mark.parametrize("bound", ["MAX_IDLE_PER_PEER", "MAX_IDLE"])
async def test_the_number_of_idle_connections_is_limited(
    bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, bound, 3)
    async with webhook_client() as client, hostile(responding_with(OK)) as receiver:
        await asyncio.gather(*(client.send(request_to(receiver.url)) for _ in range(10)))
        await until(lambda: receiver.open_now == 3)
        await asyncio.gather(*(client.send(request_to(receiver.url)) for _ in range(3)))

    assert len(receiver.connections) == 10


async def test_a_cancelled_request_leaves_nothing_behind() -> None:
    authority = Authority()
    names = FakeResolver(receiver=["127.0.0.1"])
    async with leak_check(), webhook_client(resolver=names, tls=authority.trusted()) as client:
        for script in SLOW.values():
            for scheme in ("http", "https"):  # https never completes its handshake
                async with hostile(script) as receiver:
                    url = f"{scheme}://receiver.test:{receiver.port}/"
                    await cancelled(client, request_to(url, LARGE), receiver)


async def cancelled(client: WebhookClient, request: Request, receiver: HostileServer) -> None:
    sending = asyncio.create_task(client.send(request))
    await until(lambda: receiver.open_now == 1, every=0)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    if receiver.script not in NEVER_NOTICES_CLOSE:
        await until(lambda: receiver.open_now == 0)


async def test_a_request_cancelled_at_any_iteration_of_the_loop_leaves_nothing_behind() -> None:
    authority = Authority()
    names = FakeResolver(receiver=["127.0.0.1"])
    server = authority.server("receiver.test")
    async with leak_check(), webhook_client(resolver=names, tls=authority.trusted()) as client:
        for tls, iterations in product((None, server), range(30)):
            async with hostile(silent, tls=tls) as receiver:
                url = f"http{'s' if tls else ''}://receiver.test:{receiver.port}/"
                sending = asyncio.create_task(client.send(request_to(url)))
                for _ in range(iterations):
                    await asyncio.sleep(0)
                sending.cancel()
                await asyncio.wait([sending])
                await until(lambda: receiver.open_now == 0)


async def test_a_cancelled_lookup_leaves_nothing_behind() -> None:
    names = UnansweredResolver()
    async with leak_check(), webhook_client(resolver=names) as client:
        sending = asyncio.create_task(client.send(request_to("http://receiver.test/")))
        await names.waiting.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending


async def test_closing_the_client_closes_its_idle_connections() -> None:
    async with hostile(responding_with(OK)) as receiver:
        async with webhook_client() as client:
            await asyncio.gather(*(client.send(request_to(receiver.url)) for _ in range(10)))
            assert receiver.open_now == 10
        await until(lambda: receiver.open_now == 0)


async def test_tenants_share_no_connection() -> None:
    async with hostile(responding_with(OK)) as receiver, webhook_client() as client:
        for tenant in (1, 2, 1):
            request = replace(request_to(receiver.url), tenant_id=TenantId(UUID(int=tenant)))
            assert isinstance((await client.send(request)).result, Response)

        assert len(receiver.connections) == 2
