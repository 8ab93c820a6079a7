"""The client never connects to a forbidden address, by URL or by name."""

import errno
import os
import socket
from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Network

import aiohappyeyeballs
import pytest

from daemon.core.errors import PostponedError
from daemon.core.model.attempts import Failure, FailureKind, Response
from daemon.egress.failures import RESOURCE_SHORTAGES
from daemon.egress.loop_budget import OwnBudget
from daemon.egress.proxy import Proxy
from daemon.egress.resolved_addresses import AddressInfo
from daemon.egress.resolver import LookupFailedError, NoPublicAddressError
from tests.support.certificates import Authority
from tests.support.client import (
    NO_PUBLIC_ADDRESS,
    PUBLIC_ONLY,
    FakeResolver,
    request_to,
    webhook_client,
)
from tests.support.hostile import OK, hostile, responding_once, responding_with


@pytest.fixture
def no_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail the test at any attempt to open a connection, before a packet is sent."""

    async def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"a connection was attempted: {args}")

    monkeypatch.setattr(aiohappyeyeballs, "start_connection", refuse)


@pytest.mark.usefixtures("no_connects")
@pytest.mark.parametrize(
    "addresses",
    [
        ["10.0.0.1"],
        ["127.0.0.1"],
        ["93.184.216.34", "169.254.169.254"],
        ["169.254.169.254", "93.184.216.34"],
        ["2606:4700::1111", "::1"],
        ["93.184.216.34", "fe80::1%2"],
        ["93.184.216.34", "::ffff:10.0.0.1"],
        ["93.184.216.34"] * 20 + ["192.168.0.1"],
    ],
)
async def test_a_name_is_refused_when_any_of_its_addresses_is_forbidden(
    addresses: list[str],
) -> None:
    async with webhook_client(PUBLIC_ONLY, resolver=FakeResolver(receiver=addresses)) as client:
        outcome = await client.send(request_to("http://receiver.test/"))

    assert outcome.result == NO_PUBLIC_ADDRESS


@pytest.mark.usefixtures("no_connects")
@pytest.mark.parametrize("address", ["127.1", "0x7f000001", "2130706433", "", "localhost", "1"])
async def test_a_resolver_s_result_that_is_not_an_address_is_refused(address: str) -> None:
    async with webhook_client(resolver=FakeResolver(receiver=[address])) as client:
        outcome = await client.send(request_to("http://receiver.test/"))

    assert outcome.result == NO_PUBLIC_ADDRESS


@pytest.mark.usefixtures("no_connects")
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:7f00:1]", "localhost", "0x7f.1"])
async def test_a_forbidden_url_is_refused_before_any_lookup(host: str) -> None:
    names = FakeResolver()
    async with webhook_client(PUBLIC_ONLY, resolver=names) as client:
        outcome = await client.send(request_to(f"http://{host}/"))

    assert isinstance(outcome.result, Failure)
    assert outcome.result.kind is FailureKind.REFUSED_TARGET
    assert names.lookups == []


REFUSED_NAMES = {
    "db": "the host's name is not public; use a host on the public internet",
    "db.corp": "the host's name is not public; use a host on the public internet",
    "metadata.google.internal.": "the host's name is not public; use a host on the public internet",
    "machine.example": "the host's name is not public; use a host on the public internet",
    "Hooks.Denied.Example.": "the egress rules of this service forbid this host",
}


@pytest.mark.usefixtures("no_connects")
@pytest.mark.parametrize(("host", "reason"), REFUSED_NAMES.items())
async def test_a_refused_name_is_not_looked_up(host: str, reason: str) -> None:
    names = FakeResolver()
    policy = replace(
        PUBLIC_ONLY,
        deny_hosts=frozenset({"*.denied.example"}),
        machine_names=frozenset({"machine.example"}),
    )
    async with webhook_client(policy, resolver=names) as client:
        outcome = await client.send(request_to(f"http://{host}/"))

    assert outcome.result == Failure(FailureKind.REFUSED_TARGET, reason)
    assert names.lookups == []


@pytest.mark.parametrize("host", ["localhost", "LocalHost.", "hooks.localhost"])
async def test_localhost_is_this_machine_without_any_lookup(host: str) -> None:
    names = FakeResolver()
    async with webhook_client(resolver=names) as client, hostile(responding_with(OK)) as receiver:
        outcome = await client.send(request_to(f"http://{host}:{receiver.port}/"))

    assert isinstance(outcome.result, Response)
    assert names.lookups == []


async def test_a_final_dot_is_in_neither_the_host_header_nor_the_name_of_the_certificate() -> None:
    authority = Authority()
    names = FakeResolver(receiver=["127.0.0.1"])
    async with (
        hostile(responding_with(OK), tls=authority.server("receiver.test")) as receiver,
        webhook_client(resolver=names, tls=authority.trusted()) as client,
    ):
        outcome = await client.send(request_to(f"https://Receiver.test.:{receiver.port}/"))

    [request] = receiver.requests
    assert isinstance(outcome.result, Response)
    assert f"\r\nHost: receiver.test:{receiver.port}\r\n".encode() in request
    assert names.lookups == ["receiver.test"]


async def test_a_name_is_judged_again_at_every_attempt() -> None:
    closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    names = FakeResolver(receiver=["127.0.0.1"])
    async with (
        webhook_client(resolver=names) as client,
        hostile(responding_once(closing)) as receiver,
    ):
        url = f"http://receiver.test:{receiver.port}/"
        allowed = await client.send(request_to(url))
        names.answers["receiver.test"] = ["10.0.0.1"]
        refused = await client.send(request_to(url))

    assert isinstance(allowed.result, Response)
    assert refused.result == NO_PUBLIC_ADDRESS
    assert names.lookups == ["receiver.test", "receiver.test"]


async def test_connections_are_not_shared_between_names() -> None:
    names = FakeResolver(one=["127.0.0.1"], two=["127.0.0.1"])
    async with webhook_client(resolver=names) as client, hostile(responding_with(OK)) as receiver:
        await client.send(request_to(f"http://one.test:{receiver.port}/"))
        await client.send(request_to(f"http://two.test:{receiver.port}/"))

    assert names.lookups == ["one.test", "two.test"]
    assert len(receiver.connections) == 2


async def test_the_next_address_is_tried_when_one_refuses_the_connection() -> None:
    names = FakeResolver(receiver=["127.0.0.2", "127.0.0.1"])
    async with webhook_client(resolver=names) as client, hostile(responding_with(OK)) as receiver:
        outcome = await client.send(request_to(f"http://receiver.test:{receiver.port}/"))

    assert isinstance(outcome.result, Response)


async def test_the_message_for_many_refused_connections_contains_no_address() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        names = FakeResolver(receiver=[f"127.0.0.{n}" for n in range(1, 200)])
        async with webhook_client(resolver=names) as client:
            outcome = await client.send(
                request_to(f"http://receiver.test:{bound.getsockname()[1]}/")
            )

    assert outcome.result == Failure(FailureKind.CONNECT, "could not connect: connection refused")


async def test_only_a_few_of_very_many_addresses_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[AddressInfo] = []

    async def start_connection(infos: Sequence[AddressInfo], **_: object) -> None:
        tried.extend(infos)
        raise ConnectionRefusedError(errno.ECONNREFUSED, "no")

    monkeypatch.setattr(aiohappyeyeballs, "start_connection", start_connection)
    names = FakeResolver(
        receiver=[f"127.0.{n}.1" for n in range(256)] + [f"2606:4700::{n}" for n in range(1, 9)]
    )
    async with webhook_client(resolver=names) as client:
        await client.send(request_to("http://receiver.test/"))

    assert [info[4][0] for info in tried] == [
        *("127.0.0.1", "127.0.1.1", "127.0.2.1"),
        *("2606:4700::1", "2606:4700::2", "2606:4700::3"),
    ]


async def test_connecting_to_many_addresses_takes_more_of_the_loops_budget_than_to_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns: list[float] = []
    turn = OwnBudget.turn

    async def noting(budget: OwnBudget, seconds: float, *, unproven: bool) -> None:
        turns.append(seconds)
        await turn(budget, seconds, unproven=unproven)

    monkeypatch.setattr(OwnBudget, "turn", noting)
    names = FakeResolver(receiver=[f"127.0.{n}.1" for n in range(100)], other=["127.0.0.1"])
    async with webhook_client(resolver=names) as client:
        await client.send(request_to("http://other.test:9/"))
        of_one = sum(turns)
        await client.send(request_to("http://receiver.test:9/"))
        of_many = sum(turns) - of_one

    assert of_many > 2 * of_one > 0


@pytest.mark.parametrize(
    "found",
    [[], NoPublicAddressError(), ["10.0.0.1"], ["93.184.216.34", "::1"], ["8.8.8.8"]],
    ids=str,
)
async def test_the_outcome_does_not_say_whether_a_name_without_a_public_address_exists(
    found: list[str] | Exception,
) -> None:
    policy = replace(PUBLIC_ONLY, deny_networks=(IPv4Network("8.8.8.0/24"),))
    async with webhook_client(policy, resolver=FakeResolver(receiver=found)) as client:
        outcome = await client.send(request_to("http://receiver.test/"))

    assert outcome.result == NO_PUBLIC_ADDRESS
    assert outcome.trace is not None
    assert "connect" not in dict(outcome.trace.stages)


async def test_a_lookup_that_fails_for_another_reason_says_so() -> None:
    names = FakeResolver(receiver=LookupFailedError("Timeout while contacting DNS servers"))
    async with webhook_client(resolver=names) as client:
        outcome = await client.send(request_to("http://receiver.test/"))

    assert outcome.result == Failure(
        FailureKind.LOOKUP,
        "the host name receiver.test could not be resolved: Timeout while contacting DNS servers",
    )


@pytest.mark.parametrize("number", sorted(RESOURCE_SHORTAGES), ids=errno.errorcode.get)
@pytest.mark.parametrize("proxy", [None, Proxy("127.0.0.1", 3128)], ids=["directly", "by proxy"])
async def test_a_shortage_on_this_machine_raises_postponed_error(
    number: int, proxy: Proxy | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def start_connection(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(aiohappyeyeballs, "start_connection", start_connection)
    names = FakeResolver(receiver=["127.0.0.1"])
    async with webhook_client(resolver=names, proxy=proxy) as client:
        with pytest.raises(PostponedError, match=os.strerror(number).lower()):
            await client.send(request_to("http://receiver.test/"))
