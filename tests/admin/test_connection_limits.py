"""The limits on connections to the admin port: their number, and the time that they may idle."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from yarl import URL

from daemon.admin.api import request_body
from daemon.admin.server import connection_limits
from tests.support.api_client import OPERATOR, ApiClient, serving_api
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.hostile import hostile, silent

SHORT_SECONDS = 0.2
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def tenant(app: Application) -> UUID:
    return await app.tenant()


@asynccontextmanager
async def connected(
    api: ApiClient,
) -> AsyncIterator[Streams]:
    url = URL(api.url("/"))
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def read_to_end(reader: asyncio.StreamReader) -> bytes:
    """Everything that arrives until the server closes or aborts the connection."""
    received = b""
    async with asyncio.timeout(30):
        try:
            while data := await reader.read(1 << 20):
                received += data
        except ConnectionError:
            pass
    return received


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "])
async def test_a_connection_without_a_complete_request_head_is_closed(
    database: str, tenant: UUID, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(connection_limits, "HEAD_SECONDS", SHORT_SECONDS)
    async with serving_api(database, tenant) as api, connected(api) as (reader, writer):
        writer.write(sent)

        assert await read_to_end(reader) == b""


async def test_a_connection_that_sends_its_head_byte_by_byte_is_closed(
    database: str, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limits, "HEAD_SECONDS", SHORT_SECONDS)

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET /healthz HTTP/1.1\r\nX: ")
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.02)

    async with serving_api(database, tenant) as api, connected(api) as (reader, writer):
        dripping = asyncio.create_task(drip(writer))

        assert await read_to_end(reader) == b""
        dripping.cancel()


async def test_a_connection_that_idles_after_a_request_is_closed(
    database: str, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limits, "IDLE_SECONDS", SHORT_SECONDS)
    async with serving_api(database, tenant) as api, connected(api) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /heal")

        assert (await read_to_end(reader)).count(b"HTTP/1.1 200 OK") == 1


async def test_a_request_with_half_a_body_gets_a_408_and_its_connection_is_closed(
    database: str, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_body, "BODY_SECONDS", SHORT_SECONDS)
    head = (
        "POST /api/webhooks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {OPERATOR}\r\nX-Tenant-ID: {tenant}\r\nContent-Length: 9\r\n\r\n"
    )
    async with serving_api(database, tenant) as api, connected(api) as (reader, writer):
        writer.write(head.encode() + b'{"n')

        answer = await read_to_end(reader)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"the body did not arrive within 0.2 s" in answer


async def test_a_connection_that_does_not_read_its_responses_is_closed(
    database: str, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limits, "STALLED_WRITE_SECONDS", SHORT_SECONDS)
    async with serving_api(database, tenant) as api:
        url = URL(api.url("/"))
        with socket.create_connection((url.host, url.port)) as client:
            client.setblocking(False)

            def is_closed() -> bool:
                try:
                    client.send(b"GET /docs HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 100)
                except BlockingIOError:
                    return False
                except ConnectionError:
                    return True
                return False

            await until(is_closed)


async def test_connections_beyond_the_maximum_are_refused_until_one_closes(
    database: str, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limits, "MAX_CONNECTIONS", 3)
    async with serving_api(database, tenant) as api:
        async with (
            connected(api),
            connected(api),
            connected(api),
            connected(api) as (reader, _),
        ):
            assert await read_to_end(reader) == b""

        async def accepts_requests() -> bool:
            try:
                return (await api.get("/healthz")).status == 200
            except OSError:
                return False

        await until(accepts_requests)


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
