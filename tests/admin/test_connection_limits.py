"""Nobody stands in the doors of the admin port for long, and there are only so many of them."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from yarl import URL

from daemon.admin.api import operation
from daemon.admin.server import connection_limits
from tests.support.api_client import OPERATOR, Caller, serving_api
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.hostile import hostile, silent

AT_ONCE = 0.2
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def tenant(app: Application) -> UUID:
    return await app.tenant()


@asynccontextmanager
async def connected(
    api: Caller,
) -> AsyncIterator[Streams]:
    url = URL(api.url("/"))
    reader, writer = await asyncio.open_connection(url.host, url.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def rest(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the other side hangs up, however it does."""
    received = b""
    async with asyncio.timeout(30):
        try:
            while data := await reader.read(1 << 20):
                received += data
        except ConnectionError:
            pass
    return received


@pytest.mark.parametrize("said", [b"", b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: "])
async def test_who_does_not_ask_anything_is_shown_out(
    database: str, tenant: UUID, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(connection_limits, "HEAD_SECONDS", AT_ONCE)
    async with serving_api(database, tenant) as api, connected(api) as (reader, writer):
        writer.write(said)

        assert await rest(reader) == b""


async def test_who_sends_a_head_by_drops_is_shown_out(
    database: str, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limits, "HEAD_SECONDS", AT_ONCE)

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET /healthz HTTP/1.1\r\nX: ")
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.02)

    async with serving_api(database, tenant) as api, connected(api) as (reader, writer):
        dripping = asyncio.create_task(drip(writer))

        assert await rest(reader) == b""
        dripping.cancel()


async def test_who_has_asked_once_and_then_no_more_is_shown_out(
    database: str, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limits, "IDLE_SECONDS", AT_ONCE)
    async with serving_api(database, tenant) as api, connected(api) as (reader, writer):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /heal")

        assert (await rest(reader)).count(b"HTTP/1.1 200 OK") == 1


async def test_who_sends_half_a_body_is_told_and_shown_out(
    database: str, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operation, "BODY_SECONDS", AT_ONCE)
    head = (
        "POST /api/webhooks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {OPERATOR}\r\nX-Tenant-ID: {tenant}\r\nContent-Length: 9\r\n\r\n"
    )
    async with serving_api(database, tenant) as api, connected(api) as (reader, writer):
        writer.write(head.encode() + b'{"n')

        answer = await rest(reader)

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"the body did not come within 0.2 s" in answer


async def test_who_does_not_read_the_answers_is_shown_out(
    database: str, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limits, "UNREAD_SECONDS", AT_ONCE)
    async with serving_api(database, tenant) as api:
        url = URL(api.url("/"))
        with socket.create_connection((url.host, url.port)) as client:
            client.setblocking(False)

            def is_shown_out() -> bool:
                try:
                    client.send(b"GET /docs HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 100)
                except BlockingIOError:
                    return False
                except ConnectionError:
                    return True
                return False

            await until(is_shown_out)


async def test_there_are_only_so_many_doors_and_they_open_again(
    database: str, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_limits, "MOST", 3)
    async with serving_api(database, tenant) as api:
        async with (
            connected(api),
            connected(api),
            connected(api),
            connected(api) as (reader, _),
        ):
            assert await rest(reader) == b""

        async def is_open() -> bool:
            try:
                return (await api.get("/healthz")).status == 200
            except OSError:
                return False

        await until(is_open)


async def test_what_somebody_asked_for_who_has_gone_is_not_gone_on_with(
    app: Application, database: str, tenant: UUID
) -> None:
    async with (
        hostile(silent) as slow,
        serving_api(database, tenant, delivery={"timeout": "30s"}) as api,
    ):
        path = f"/api/webhooks/{(await api.webhook(slow.url))['id']}/test"
        asking = asyncio.create_task(api.post(path))
        await until(lambda: slow.open_now == 1)

        asking.cancel()

        await until(lambda: slow.open_now == 0, within=15)
