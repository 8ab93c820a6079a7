"""Requests through an egress proxy, whose own faults are no failed attempts."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace

import pytest

import daemon.egress.proxy
from daemon.core.errors import PostponedError
from daemon.core.model.attempts import Failure, FailureKind, Response
from daemon.egress.proxy import Proxy
from daemon.service import Service
from tests.support.application import Application
from tests.support.certificates import Authority
from tests.support.client import (
    NO_PUBLIC_ADDRESS,
    PUBLIC_ONLY,
    FakeResolver,
    request_to,
    webhook_client,
)
from tests.support.daemons import free_port, metrics_of, serving, until
from tests.support.deliveries import settled
from tests.support.egress_proxy import EgressProxy, egress_proxy
from tests.support.hostile import OK, hostile, responding_with
from tests.support.receiver import Receiver

CREDENTIALS = b64encode(b"someone:p@ss").decode()


def through(proxy: EgressProxy) -> Proxy:
    return Proxy.from_url(proxy.url)


async def test_a_request_goes_through_the_proxy_to_the_address_that_was_judged() -> None:
    names = FakeResolver(receiver=["127.0.0.1"])
    async with (
        egress_proxy() as proxy,
        hostile(responding_with(OK)) as receiver,
        webhook_client(proxy=through(proxy), resolver=names) as client,
    ):
        outcome = await client.send(request_to(f"http://receiver.test:{receiver.port}/hook"))

    [connect] = proxy.requests
    [request] = receiver.requests
    assert outcome.result == Response(200, (("content-length", "2"),), "OK")
    assert connect.splitlines()[0] == f"CONNECT 127.0.0.1:{receiver.port} HTTP/1.1"
    assert f"Proxy-Authorization: Basic {CREDENTIALS}" in connect
    assert f"Host: receiver.test:{receiver.port}".encode() in request
    assert b"roxy" not in request


async def test_tls_is_negotiated_with_the_receiver_and_not_with_the_proxy() -> None:
    authority = Authority()
    names = FakeResolver(receiver=["127.0.0.1"])
    async with (
        egress_proxy() as proxy,
        hostile(responding_with(OK), tls=authority.server("receiver.test")) as receiver,
        webhook_client(proxy=through(proxy), resolver=names, tls=authority.trusted()) as client,
    ):
        outcome = await client.send(request_to(f"https://receiver.test:{receiver.port}/"))

    assert isinstance(outcome.result, Response)
    assert "receiver.test" not in proxy.requests[0]


async def test_no_forbidden_address_is_requested_from_the_proxy() -> None:
    names = FakeResolver(receiver=["93.184.216.34", "10.0.0.1"])
    async with (
        egress_proxy() as proxy,
        webhook_client(PUBLIC_ONLY, proxy=through(proxy), resolver=names) as client,
    ):
        outcome = await client.send(request_to("http://receiver.test/"))

    assert outcome.result == NO_PUBLIC_ADDRESS
    assert proxy.requests == []


async def test_no_forbidden_name_is_looked_up_or_requested_from_the_proxy() -> None:
    policy = replace(PUBLIC_ONLY, deny_hosts=frozenset({"*.test"}))
    names = FakeResolver(receiver=["93.184.216.34"])
    async with (
        egress_proxy() as proxy,
        webhook_client(policy, proxy=through(proxy), resolver=names) as client,
    ):
        outcome = await client.send(request_to("http://receiver.test/"))

    assert outcome.result == Failure(
        FailureKind.REFUSED_TARGET, "the egress rules of this service forbid this host"
    )
    assert (names.lookups, proxy.requests) == ([], [])


async def test_the_proxy_s_own_name_may_be_one_of_this_machine() -> None:
    async with egress_proxy() as proxy, hostile(responding_with(OK)) as receiver:
        at = Proxy("localhost", proxy.port)
        async with webhook_client(proxy=at, resolver=None) as client:
            outcome = await client.send(request_to(f"http://127.0.0.1:{receiver.port}/"))

    assert isinstance(outcome.result, Response)


async def test_the_next_address_is_tried_when_the_proxy_cannot_reach_one() -> None:
    async with egress_proxy() as proxy, hostile(responding_with(OK)) as receiver:
        proxy.answer = lambda head: (
            b"HTTP/1.1 504 No\r\n\r\n" if head.startswith("CONNECT 127.0.0.9:") else None
        )
        names = FakeResolver(receiver=["127.0.0.9", "127.0.0.1"])
        async with webhook_client(proxy=through(proxy), resolver=names) as client:
            outcome = await client.send(request_to(f"http://receiver.test:{receiver.port}/"))

    assert isinstance(outcome.result, Response)
    assert len(proxy.requests) == 2


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_receiver_that_the_proxy_cannot_reach_is_a_failed_attempt(status: int) -> None:
    async with egress_proxy() as proxy:
        proxy.answer = lambda _: f"HTTP/1.1 {status} No\r\n\r\n".encode()
        async with webhook_client(proxy=through(proxy)) as client:
            outcome = await client.send(request_to("http://127.0.0.1:81/"))

    assert outcome.result == Failure(
        FailureKind.CONNECT, "could not connect: the receiver cannot be reached"
    )


async def test_a_target_that_the_proxy_s_rules_forbid_is_refused() -> None:
    async with egress_proxy() as proxy:
        proxy.answer = lambda _: b"HTTP/1.1 403 Forbidden\r\n\r\n"
        async with webhook_client(proxy=through(proxy)) as client:
            outcome = await client.send(request_to("http://127.0.0.1:81/"))

    assert outcome.result == Failure(
        FailureKind.REFUSED_TARGET, "the egress rules of this service forbid this host"
    )


PROXY_FAULTS = {
    "wants other credentials": b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
    "fails": b"HTTP/1.1 500 Oops\r\n\r\n",
    "does not support CONNECT": b"HTTP/1.1 405 Method Not Allowed\r\n\r\n",
    "redirects": b"HTTP/1.1 302 Found\r\nLocation: http://x/\r\n\r\n",
    "speaks something else": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "hangs up": b"",
    "hangs up in its head": b"HTTP/1.1 200 OK\r\n",
    "sends bytes after its head": b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\nforged",
    "sends an endless head": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000,
}


@pytest.mark.parametrize("answer", PROXY_FAULTS.values(), ids=PROXY_FAULTS)
async def test_the_attempt_is_postponed_when_the_proxy(answer: bytes) -> None:
    async with egress_proxy() as proxy:
        proxy.answer = lambda _: answer
        async with webhook_client(proxy=through(proxy)) as client:
            with pytest.raises(PostponedError, match="the egress proxy") as raised:
                await client.send(request_to("http://127.0.0.1:81/"))

    assert "p@ss" not in str(raised.value)


REFUSED = "127.0.0.9"


def refusing_one(status: int) -> Callable[[str], bytes | None]:
    """Answer with a status for REFUSED, and tunnel to all others."""
    answer = f"HTTP/1.1 {status} No\r\n\r\n".encode()
    return lambda head: answer if head.startswith(f"CONNECT {REFUSED}:") else None


@pytest.mark.parametrize("status", [302, 405, 407, 500])
async def test_a_status_for_one_target_while_others_are_reached_is_a_failed_attempt(
    status: int,
) -> None:
    async with (
        egress_proxy() as proxy,
        hostile(responding_with(OK)) as receiver,
        webhook_client(proxy=through(proxy)) as client,
    ):
        proxy.answer = refusing_one(status)
        reached = await client.send(request_to(receiver.url))
        refused = await client.send(request_to(f"http://{REFUSED}:81/"))

    assert isinstance(reached.result, Response)
    assert refused.result == Failure(
        FailureKind.CONNECT,
        f"could not connect: the egress proxy answered CONNECT with status {status}",
    )


async def test_a_status_for_one_target_is_a_fault_of_the_proxy_if_none_was_reached_lately(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(daemon.egress.proxy, "WORKS_SECONDS", 0.0)
    async with (
        egress_proxy() as proxy,
        hostile(responding_with(OK)) as receiver,
        webhook_client(proxy=through(proxy)) as client,
    ):
        proxy.answer = refusing_one(500)
        await client.send(request_to(receiver.url))
        with pytest.raises(PostponedError, match="status 500"):
            await client.send(request_to(f"http://{REFUSED}:81/"))


async def test_the_attempt_is_postponed_when_the_proxy_is_down() -> None:
    async with webhook_client(proxy=Proxy("127.0.0.1", free_port())) as client:
        with pytest.raises(PostponedError, match="the egress proxy cannot be reached"):
            await client.send(request_to("http://127.0.0.1:81/"))


async def test_the_attempt_is_postponed_when_the_proxy_s_name_has_no_address() -> None:
    names = FakeResolver(proxy=[])
    async with webhook_client(proxy=Proxy("proxy.test", 3128), resolver=names) as client:
        with pytest.raises(PostponedError, match="the egress proxy cannot be reached"):
            await client.send(request_to("http://127.0.0.1:81/"))


async def postponed(service: Service) -> bool:
    return "webhookd_postponed_total 0.0" not in await metrics_of(service)


async def test_a_target_that_the_proxy_answers_with_500_fails_on_the_schedule(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant, other = await app.tenant(), await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    refused = await app.webhook(other, f"http://{REFUSED}:81/")
    async with egress_proxy() as proxy:
        proxy.answer = refusing_one(500)
        async with serving(database, egress={"proxy": proxy.url}):
            await app.event(tenant)
            await until(lambda: settled(app, webhook, "success", 1))
            await app.events(other, 3)
            await until(lambda: settled(app, refused, "failed", 3))

    assert (await app.health(refused))["consecutive_failures"] == 3
    assert sum(REFUSED in head.splitlines()[0] for head in proxy.requests) == 3


async def test_attempts_are_kept_while_the_proxy_is_down_and_made_once_it_is_back(
    app: Application, database: str, receiver: Receiver
) -> None:
    port = free_port()
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    egress = {"proxy": f"http://127.0.0.1:{port}"}
    async with serving(database, egress=egress) as service:
        await app.events(tenant, 50)
        await until(lambda: postponed(service))
        async with egress_proxy(port=port) as proxy:
            await until(lambda: settled(app, webhook, "success", 50))
            assert proxy.requests

    rows = await app.deliveries(webhook)
    assert {row["attempt_number"] for row in rows} == {1}
    assert len(receiver.received) == 50
    assert (await app.health(webhook))["last_failure_at"] is None
