"""The client never connects to a forbidden address, by URL or by name."""

import errno
import os
import socket
from collections.abc import Sequence

import aiohappyeyeballs
import pytest

from daemon.core.errors import PostponedError
from daemon.core.model.attempts import Failure, FailureKind, Response
from daemon.egress import connector
from daemon.egress.failures import RESOURCE_SHORTAGES
from daemon.egress.resolver import CaresResolver, LookupFailedError
from tests.support.client import PUBLIC_ONLY, FakeResolver, request_to, webhook_client
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

    assert outcome.result == Failure(
        FailureKind.REFUSED_TARGET,
        "the host's address is not public; use a host on the public internet",
    )


@pytest.mark.usefixtures("no_connects")
@pytest.mark.parametrize("address", ["127.1", "0x7f000001", "2130706433", "", "localhost", "1"])
async def test_a_resolver_s_result_that_is_not_an_address_is_refused(address: str) -> None:
    async with webhook_client(resolver=FakeResolver(receiver=[address])) as client:
        outcome = await client.send(request_to("http://receiver.test/"))

    assert outcome.result == Failure(FailureKind.REFUSED_TARGET, "the host has no usable address")


@pytest.mark.usefixtures("no_connects")
@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "[::ffff:7f00:1]", "localhost", "0x7f.1"])
async def test_a_forbidden_url_is_refused_before_any_lookup(host: str) -> None:
    names = FakeResolver()
    async with webhook_client(PUBLIC_ONLY, resolver=names) as client:
        outcome = await client.send(request_to(f"http://{host}/"))

    assert isinstance(outcome.result, Failure)
    assert outcome.result.kind is FailureKind.REFUSED_TARGET
    assert names.lookups == []


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
    assert refused.result == Failure(
        FailureKind.REFUSED_TARGET,
        "the host's address is not public; use a host on the public internet",
    )
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
    tried: list[object] = []

    async def start_connection(infos: Sequence[object], **_: object) -> None:
        tried.extend(infos)
        raise ConnectionRefusedError(errno.ECONNREFUSED, "no")

    monkeypatch.setattr(aiohappyeyeballs, "start_connection", start_connection)
    names = FakeResolver(receiver=[f"127.0.{n}.1" for n in range(256)])
    async with webhook_client(resolver=names) as client:
        await client.send(request_to("http://receiver.test/"))

    assert len(tried) == connector.MAX_ADDRESSES_TRIED


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        ([], "it has no address"),
        (LookupFailedError("Domain name not found"), "Domain name not found"),
    ],
)
async def test_a_name_without_an_address_is_a_failed_lookup(
    found: list[str] | Exception, reason: str
) -> None:
    async with webhook_client(resolver=FakeResolver(receiver=found)) as client:
        outcome = await client.send(request_to("http://receiver.test/"))

    assert outcome.result == Failure(
        FailureKind.LOOKUP, f"the host name receiver.test could not be resolved: {reason}"
    )


@pytest.mark.parametrize("number", sorted(RESOURCE_SHORTAGES), ids=errno.errorcode.get)
async def test_a_shortage_on_this_machine_raises_postponed_error(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def start_connection(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(aiohappyeyeballs, "start_connection", start_connection)
    async with webhook_client(resolver=FakeResolver(receiver=["127.0.0.1"])) as client:
        with pytest.raises(PostponedError, match=os.strerror(number).lower()):
            await client.send(request_to("http://receiver.test/"))


async def test_the_system_s_resolver_reads_the_hosts_file() -> None:
    resolver = CaresResolver()

    found = await resolver.addresses("localhost")
    await resolver.close()

    assert found
    assert set(found) <= {"127.0.0.1", "::1"}
