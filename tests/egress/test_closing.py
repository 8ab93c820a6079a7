"""Closed connections keep few ports of this machine, and receivers do not mind."""

import asyncio
import random
import sys
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from daemon.core.model.attempts import Failure, Response
from daemon.egress import closing, pool
from daemon.egress.client import WebhookClient
from daemon.egress.proxy import Proxy
from tests.support.certificates import Authority
from tests.support.client import FakeResolver, request_to, webhook_client
from tests.support.daemons import until
from tests.support.egress_proxy import egress_proxy
from tests.support.hostile import (
    CHUNKED,
    HTTP,
    OK,
    Connection,
    Script,
    hostile,
    responding_endlessly,
    responding_with,
    stopping_after,
)

ORDINARY = 3
REQUESTS = 20
TIME_WAIT = "06"

FAILED = HTTP + b"500 No\r\nContent-Length: 0\r\n\r\n"
CLOSING = HTTP + b"200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nOK"
OLD = b"HTTP/1.0 200 OK\r\n\r\nOK"


@pytest.fixture(autouse=True)
def few_ordinary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "MAX_ORDINARY_PER_DESTINATION", ORDINARY)


@pytest.fixture
def address() -> str:
    """An address of loopback that no other test has connections to."""
    return str(IPv4Address(f"127.{random.randrange(1, 255)}.0.1") + random.randrange(60_000))


def ports_taken(address: str, port: int) -> int:
    """How many of our ports are in TIME_WAIT because of connections to this address and port."""
    there = f"{int.from_bytes(IPv4Address(address).packed, sys.byteorder):08X}:{port:04X}"
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    return sum(fields[2] == there and fields[3] == TIME_WAIT for fields in lines)


def closing_after(answer: bytes) -> Script:
    """Respond to one request, and close."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(answer)

    return script


def leaving_open(answer: bytes) -> Script:
    """Respond to one request, and wait for the client to close."""

    async def script(connection: Connection) -> None:
        await connection.request()
        await connection.send(answer)
        await connection.wait_closed()

    return script


SCRIPTS = {
    "says that it closes, and does": closing_after(CLOSING),
    "says that it closes, and does not": leaving_open(CLOSING),
    "speaks HTTP/1.0": closing_after(OLD),
    "fails": leaving_open(FAILED),
    "refuses early": responding_with(HTTP + b"400 No\r\nContent-Length: 0\r\n\r\n"),
    "never ends": responding_endlessly(CHUNKED, b"4000\r\n" + b"x" * 0x4000 + b"\r\n"),
    "speaks something else": leaving_open(b"SSH-2.0\r\n\r\n"),
    "answers in part": stopping_after(OK[:-1]),
}


async def send_many(client: WebhookClient, url: str) -> None:
    requests = [client.send(request_to(url)) for _ in range(REQUESTS)]
    await asyncio.gather(*requests, return_exceptions=True)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
async def test_few_ports_stay_taken_by_connections_to_a_receiver_that(
    script: Script, scheme: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing, "WAIT_SECONDS", 0.2)
    authority = Authority()
    names = FakeResolver(receiver=[address])
    server = authority.server("receiver.test") if scheme == "https" else None
    async with (
        hostile(script, tls=server, at=(address, 0)) as receiver,
        webhook_client(seconds=1.5, resolver=names, tls=authority.trusted()) as client,
    ):
        await send_many(client, f"{scheme}://receiver.test:{receiver.port}/")
        await until(lambda: receiver.open_now == 0)

        assert len(receiver.connections) == REQUESTS
        assert ports_taken(address, receiver.port) <= ORDINARY


async def test_few_ports_stay_taken_by_handshakes_that_fail(address: str) -> None:
    names = FakeResolver(receiver=[address])
    server = Authority().server("receiver.test")
    async with (
        hostile(responding_with(OK), tls=server, at=(address, 0)) as receiver,
        webhook_client(resolver=names, tls=Authority("Another").trusted()) as client,
    ):
        url = f"https://receiver.test:{receiver.port}/"
        failures = [(await client.send(request_to(url))).result for _ in range(REQUESTS)]

        assert all(isinstance(each, Failure) for each in failures)
        assert ports_taken(address, receiver.port) <= ORDINARY


async def test_few_ports_stay_taken_by_idle_connections(
    address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "MAX_IDLE_SECONDS", 0.1)
    async with (
        hostile(responding_with(OK), at=(address, 0)) as receiver,
        webhook_client() as client,
    ):
        await send_many(client, receiver.url)
        await until(lambda: receiver.open_now == 0)

        assert len(receiver.connections) == REQUESTS
        assert ports_taken(address, receiver.port) <= ORDINARY


@pytest.mark.parametrize(
    ("tunnel", "script"),
    [
        (None, closing_after(CLOSING)),
        (None, leaving_open(FAILED)),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", leaving_open(OK)),
        (b"", leaving_open(OK)),
    ],
    ids=["Connection: close", "failures", "a refusal", "an end"],
)
async def test_few_ports_stay_taken_by_connections_to_the_egress_proxy_after(
    tunnel: bytes | None, script: Script, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing, "WAIT_SECONDS", 0.2)
    async with (
        egress_proxy(address=address) as proxy,
        hostile(script) as receiver,
        webhook_client(proxy=Proxy(address, proxy.port)) as client,
    ):
        proxy.answer = lambda _: tunnel
        await send_many(client, receiver.url)
        await until(lambda: proxy.open_now == 0)

        assert len(proxy.requests) == REQUESTS
        assert ports_taken(address, proxy.port) <= ORDINARY


@pytest.mark.parametrize("answer", [FAILED, CLOSING, OK], ids=["failed", "closing", "kept"])
async def test_a_receiver_that_answers_first_gets_the_whole_body(answer: bytes) -> None:
    body = b"x" * 1_000_000
    read = 0

    async def script(connection: Connection) -> None:
        nonlocal read
        await connection.head()
        await connection.send(answer)
        while read < len(body):
            read += len(await connection.read_some())

    async with webhook_client() as client, hostile(script) as receiver:
        outcome = await client.send(request_to(receiver.url, body))
        await until(lambda: receiver.open_now == 0)

    assert isinstance(outcome.result, Response)
    assert read == len(body)


async def test_the_number_of_connections_that_wait_for_their_receivers_is_limited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(closing, "WAIT_SECONDS", 1000.0)
    monkeypatch.setattr(closing, "MAX_WAITING", 5)
    async with hostile(leaving_open(CLOSING)) as receiver, webhook_client() as client:
        await send_many(client, receiver.url)
        await until(lambda: receiver.open_now == 5)
    await until(lambda: receiver.open_now == 0)
