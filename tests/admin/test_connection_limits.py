"""The deadlines of connections to the admin port."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from uuid import UUID

import pytest
from yarl import URL

from daemon.admin.api import request_body
from daemon.admin.server import connection_limits
from daemon.admin.server.connection_limits import LimitedConnection
from daemon.admin.server.request_turns import MAX_RUNNING
from tests.support.api_client import OPERATOR, ApiClient, serving_api
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.hostile import hostile, silent
from tests.support.raw_http import RawClient, connected, post_head

SHORT_SECONDS = 0.2


@contextmanager
def small_window(api: ApiClient) -> Iterator[socket.socket]:
    """A socket for a client whose kernel receives little that the client has not read."""
    url = URL(api.url("/"))
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((url.host, url.port))
        client.setblocking(False)
        yield client


def is_closed(client: socket.socket, data: bytes) -> bool:
    """Send more data: this fails once the server has closed the connection."""
    try:
        client.send(data)
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return False


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "])
async def test_a_connection_without_a_complete_request_head_is_closed(
    database: str, tenant: UUID, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(connection_limits, "HEAD_SECONDS", SHORT_SECONDS)
    async with serving_api(database, tenant) as api, connected(api) as client:
        client.send(sent)

        assert await client.read_to_end() == b""


async def test_a_connection_that_sends_its_head_byte_by_byte_is_closed(
    database: str, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limits, "HEAD_SECONDS", SHORT_SECONDS)

    async def drip(client: RawClient) -> None:
        client.send(b"GET /healthz HTTP/1.1\r\nX: ")
        while True:
            client.send(b"x")
            await asyncio.sleep(0.02)

    async with serving_api(database, tenant) as api, connected(api) as client:
        dripping = asyncio.create_task(drip(client))

        assert await client.read_to_end() == b""
        dripping.cancel()


async def test_a_connection_that_idles_after_a_request_is_closed(
    database: str, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limits, "IDLE_SECONDS", SHORT_SECONDS)
    async with serving_api(database, tenant) as api, connected(api) as client:
        client.send(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /heal")

        assert (await client.read_to_end()).count(b"HTTP/1.1 200 OK") == 1


async def test_a_request_with_half_a_body_gets_a_408_and_its_connection_is_closed(
    database: str, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_body, "BODY_SECONDS", SHORT_SECONDS)
    async with serving_api(database, tenant) as api, connected(api) as client:
        client.send(post_head(tenant, 9) + b'{"n')

        answer = await client.read_to_end()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"the body did not arrive within 0.2 s" in answer


SIGN_IN_HEAD = (
    b"POST /console/sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-For: %s\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"1\r\na\r\n"
)


async def test_large_bodies_are_read_for_few_requests_at_once(
    app: Application, database: str, tenant: UUID
) -> None:
    large = request_body.LARGE_BYTES + 1
    async with serving_api(database, tenant) as api:
        async with AsyncExitStack() as stack:
            for _ in range(request_body.LARGE_AT_ONCE):
                client = await stack.enter_async_context(connected(api))
                client.send(post_head(await app.tenant(), large) + b"{")
            await until(lambda: not request_body.large_bodies.free)

            async with connected(api) as one_more:
                assert await one_more.ask(post_head(tenant, large) + b" " * large) == 503
            async with connected(api) as small:
                assert await small.ask(post_head(tenant, 2) + b"{}") == 422

        await until(lambda: request_body.large_bodies.free == request_body.LARGE_AT_ONCE)
        async with connected(api) as client:
            assert await client.ask(post_head(tenant, large) + b"{}".ljust(large)) == 422


async def test_slow_bodies_of_strangers_and_of_one_tenant_leave_places_for_others(
    app: Application, database: str, tenant: UUID
) -> None:
    large = request_body.LARGE_BYTES + 1
    proxies = {"trusted_proxies": ["127.0.0.0/8"]}
    other = await app.tenant()
    async with serving_api(database, tenant, admin=proxies) as api, AsyncExitStack() as stack:
        for number in range(request_body.LARGE_AT_ONCE + 2):
            stranger = await stack.enter_async_context(connected(api))
            stranger.send(SIGN_IN_HEAD % f"192.0.2.{number}".encode())
            if number < MAX_RUNNING:
                client = await stack.enter_async_context(connected(api))
                client.send(post_head(other, large) + b"{")
        await until(lambda: request_body.large_bodies.free < request_body.LARGE_AT_ONCE // 2 + 2)
        for _ in range(2):
            async with connected(api) as client:
                assert await client.ask(post_head(tenant, large) + b"{}".ljust(large)) == 422


async def test_a_connection_that_does_not_read_its_responses_is_closed(
    database: str, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limits, "STALLED_WRITE_SECONDS", SHORT_SECONDS)
    async with serving_api(database, tenant) as api:
        with small_window(api) as client:
            await until(lambda: is_closed(client, b"GET /docs HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"))


@pytest.fixture
def small_send_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the kernel take little of a response, so that the rest stays with the daemon."""
    accept = LimitedConnection.connection_made

    def connection_made(connection: LimitedConnection, transport: asyncio.BaseTransport) -> None:
        server = transport.get_extra_info("socket")
        server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        accept(connection, transport)

    monkeypatch.setattr(LimitedConnection, "connection_made", connection_made)


def requesting(event: UUID, tenant: UUID) -> bytes:
    return (
        f"GET /api/events/{event} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {OPERATOR}\r\nX-Tenant-ID: {tenant}\r\n\r\n"
    ).encode()


@pytest.mark.usefixtures("small_send_buffer")
async def test_a_client_that_leaves_the_end_of_a_response_unread_is_closed(
    app: Application, database: str, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if what is unread is less than a transport buffers before it pauses by default."""
    monkeypatch.setattr(connection_limits, "STALLED_WRITE_SECONDS", SHORT_SECONDS)
    monkeypatch.setattr(connection_limits, "IDLE_SECONDS", SHORT_SECONDS)
    event = await app.event(tenant, {"text": "x" * 50_000})
    async with serving_api(database, tenant) as api:
        with small_window(api) as client:
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, requesting(event, tenant))
            await loop.sock_recv(client, 1000)

            await until(lambda: is_closed(client, b"G"))


@pytest.mark.usefixtures("small_send_buffer")
async def test_a_client_that_reads_slowly_gets_a_large_response_to_its_end(
    app: Application, database: str, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limits, "STALLED_WRITE_SECONDS", SHORT_SECONDS)
    monkeypatch.setattr(connection_limits, "STALLED_WRITE_BYTES", 1)
    event = await app.event(tenant, {"text": "x" * 1_000_000})
    received = 0
    async with serving_api(database, tenant) as api:
        with small_window(api) as client:
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(client, requesting(event, tenant))
            while received < 1_000_000:
                data = await loop.sock_recv(client, 30_000)
                assert data, "the response was cut"
                received += len(data)
                await asyncio.sleep(0.01)


async def test_a_request_is_cancelled_when_its_client_disconnects(
    app: Application, database: str, tenant: UUID
) -> None:
    async with (
        hostile(silent) as slow,
        serving_api(database, tenant, delivery={"timeout": "30s"}) as api,
    ):
        path = f"/api/webhooks/{(await api.create_webhook(slow.url))['id']}/test"
        request = asyncio.create_task(api.post(path))
        await until(lambda: slow.open_now == 1)

        request.cancel()

        await until(lambda: slow.open_now == 0, within=15)
