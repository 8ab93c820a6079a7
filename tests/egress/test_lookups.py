"""Lookups that are bounded by tenant and domain, shared, and remembered when they fail."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from daemon.core.errors import PostponedError
from daemon.core.model.attempts import Failure, Response
from daemon.egress import failed_lookups, lookup_places
from daemon.egress import lookups as lookups_module
from daemon.egress.lookup_places import PLACES, domain_of
from daemon.egress.lookups import Lookups
from daemon.egress.resolver import CaresResolver, LookupFailedError
from tests.support.client import FakeResolver, request_to, webhook_client
from tests.support.daemons import until
from tests.support.hostile import OK, hostile, responding_with
from tests.support.nameserver import NO_SUCH_NAME, name_server

ADDRESS = ["192.0.2.1"]


class ScriptedResolver(FakeResolver):
    """Names that begin with `dead` are never answered; `under_way` has those that are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.under_way: list[str] = []
        self.answer: Callable[[str], Sequence[str]] = lambda _: ADDRESS

    async def addresses(self, host: str) -> list[str]:
        self.lookups.append(host)
        self.under_way.append(host)
        try:
            if host.startswith("dead"):
                await asyncio.Event().wait()
            await asyncio.sleep(0)
            return list(self.answer(host))
        finally:
            self.under_way.remove(host)


async def ended(tasks: Sequence[asyncio.Future[list[str]]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def missing(_: str) -> Sequence[str]:
    raise LookupFailedError("Domain name not found")


async def test_lookups_of_the_same_name_at_the_same_time_are_one() -> None:
    resolver = ScriptedResolver()
    lookups = Lookups(resolver)

    found = await asyncio.gather(
        *(lookups.addresses("good.test", tenant=n % 3) for n in range(100))
    )

    assert found == [ADDRESS] * 100
    assert resolver.lookups == ["good.test"]


async def test_the_addresses_of_a_name_are_not_remembered_for_the_next_connection() -> None:
    resolver = ScriptedResolver()
    lookups = Lookups(resolver)

    await lookups.addresses("good.test", tenant=1)
    resolver.answer = lambda _: ["10.0.0.1"]

    assert await lookups.addresses("good.test", tenant=1) == ["10.0.0.1"]


@pytest.mark.parametrize("waiters", [1, 2])
async def test_a_lookup_ends_with_the_last_that_waits_for_it(waiters: int) -> None:
    resolver = ScriptedResolver()
    lookups = Lookups(resolver)
    waiting = [
        asyncio.ensure_future(lookups.addresses("dead.test", tenant=1)) for _ in range(waiters)
    ]
    await until(lambda: resolver.under_way)

    await ended(waiting[1:])
    still_under_way = list(resolver.under_way)
    await ended(waiting)

    assert still_under_way == ["dead.test"]
    await until(lambda: not resolver.under_way)


DEAD_OF_ONE_TENANT = [(f"dead.name{n}.test", 1) for n in range(300)]
DEAD_OF_ONE_DOMAIN = [(f"dead{n}.one.test", n) for n in range(100, 400)]


@pytest.mark.parametrize("dead", [DEAD_OF_ONE_TENANT, DEAD_OF_ONE_DOMAIN], ids=["tenant", "domain"])
async def test_names_without_a_reply_leave_half_of_the_places_to_others(
    monkeypatch: pytest.MonkeyPatch, dead: Sequence[tuple[str, int]]
) -> None:
    monkeypatch.setattr(lookup_places, "WAIT_SECONDS", 60.0)
    resolver = ScriptedResolver()
    lookups = Lookups(resolver)
    waiting = [asyncio.ensure_future(lookups.addresses(n, tenant=t)) for n, t in dead]
    await until(lambda: len(resolver.under_way) >= PLACES // 2)

    found = [await lookups.addresses(f"good{n}.test", tenant=2) for n in range(20)]

    assert found == [ADDRESS] * 20
    assert len(resolver.under_way) == PLACES // 2
    assert not any(each.done() for each in waiting)
    await ended(waiting)
    assert await lookups.addresses("later.one.test", tenant=1) == ADDRESS


async def test_a_place_that_comes_free_goes_to_the_first_in_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lookup_places, "WAIT_SECONDS", 60.0)
    resolver = ScriptedResolver()
    lookups = Lookups(resolver)
    waiting = [asyncio.ensure_future(lookups.addresses(n, tenant=t)) for n, t in DEAD_OF_ONE_TENANT]
    await until(lambda: len(resolver.under_way) >= PLACES // 2)
    behind = asyncio.ensure_future(lookups.addresses("good.test", tenant=1))

    await ended(waiting[:250])

    assert await behind == ADDRESS
    await ended(waiting)


async def test_a_lookup_without_a_place_is_postponed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup_places, "WAIT_SECONDS", 0.05)
    resolver = ScriptedResolver()
    lookups = Lookups(resolver)
    waiting = [asyncio.ensure_future(lookups.addresses(n, tenant=t)) for n, t in DEAD_OF_ONE_TENANT]
    await until(lambda: len(resolver.under_way) >= PLACES // 2)

    with pytest.raises(PostponedError):
        await lookups.addresses("good.test", tenant=1)

    assert await lookups.addresses("good.test", tenant=2) == ADDRESS
    await ended(waiting)


async def test_a_name_that_works_needs_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup_places, "WAIT_SECONDS", 60.0)
    resolver = ScriptedResolver()
    lookups = Lookups(resolver)
    await lookups.addresses("good.test", tenant=1)
    waiting = [asyncio.ensure_future(lookups.addresses(n, tenant=t)) for n, t in DEAD_OF_ONE_TENANT]
    await until(lambda: len(resolver.under_way) >= PLACES // 2)

    found = await lookups.addresses("good.test", tenant=1)

    assert found == ADDRESS
    await ended(waiting)


async def test_a_failure_is_remembered() -> None:
    resolver = ScriptedResolver()
    resolver.answer = missing
    lookups = Lookups(resolver)

    for _ in range(10):
        with pytest.raises(LookupFailedError, match="Domain name not found"):
            await lookups.addresses("missing.test", tenant=1)

    assert resolver.lookups == ["missing.test"]


async def test_the_memory_of_failures_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failed_lookups, "MAX_NAMES", 10)
    resolver = ScriptedResolver()
    resolver.answer = missing
    lookups = Lookups(resolver)

    for name in [*(f"missing{n}.test" for n in range(11)), "missing0.test", "missing10.test"]:
        with pytest.raises(LookupFailedError):
            await lookups.addresses(name, tenant=1)

    assert len(resolver.lookups) == 12
    assert len(lookups._failed._failures) == 10


async def test_name_servers_of_ours_that_are_down_are_not_remembered_as_a_failure() -> None:
    resolver = ScriptedResolver()

    def unreachable(_: str) -> Sequence[str]:
        raise PostponedError("our own name servers cannot be reached")

    resolver.answer = unreachable
    lookups = Lookups(resolver)
    with pytest.raises(PostponedError):
        await lookups.addresses("good.test", tenant=1)
    resolver.answer = lambda _: ADDRESS

    assert await lookups.addresses("good.test", tenant=1) == ADDRESS


async def test_a_name_without_a_reply_costs_its_time_once() -> None:
    resolver = ScriptedResolver()
    async with webhook_client(seconds=1.1, resolver=resolver) as client:
        first = await client.send(request_to("http://dead.test/"))
        second = await client.send(request_to("http://dead.test/"))

    assert isinstance(first.result, Failure)
    assert isinstance(second.result, Failure)
    assert "could not be resolved" in second.result.message
    assert resolver.lookups == ["dead.test"]


async def test_a_lookup_that_one_tenant_gave_up_is_made_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tenants choose timeouts: whoever waits for a second must not end the lookups of others."""
    monkeypatch.setattr(lookups_module, "UNANSWERED_SECONDS", 0.0)
    resolver = ScriptedResolver()
    lookups = Lookups(resolver)
    hurried = asyncio.ensure_future(lookups.addresses("dead.test", tenant=1))
    await until(lambda: resolver.under_way)
    await ended([hurried])

    with pytest.raises(LookupFailedError, match="no reply"):
        await lookups.addresses("dead.test", tenant=1)
    patient = asyncio.ensure_future(lookups.addresses("dead.test", tenant=2))

    await until(lambda: resolver.under_way == ["dead.test"])  # the check: it is made
    await ended([patient])


async def test_a_name_that_worked_before_is_used_again_within_seconds() -> None:
    async with name_server() as server, hostile(responding_with(OK)) as receiver:
        url = f"http://receiver.test:{receiver.port}/"
        resolver = CaresResolver([server.address])
        async with webhook_client(resolver=resolver) as client:

            async def has_a_response() -> bool:
                return isinstance((await client.send(request_to(url))).result, Response)

            server.answer = lambda _: ["127.0.0.1"]
            before = await has_a_response()
            client._pool.close()  # otherwise no name is looked up
            server.answer = lambda _: NO_SUCH_NAME
            meanwhile = await has_a_response()
            server.answer = lambda _: ["127.0.0.1"]
            await until(has_a_response, within=5)

    assert (before, meanwhile) == (True, False)


async def test_a_name_server_that_takes_two_seconds_is_waited_for() -> None:
    class SlowResolver(FakeResolver):
        async def addresses(self, host: str) -> list[str]:
            await asyncio.sleep(2)
            return ["127.0.0.1"]

    async with (
        hostile(responding_with(OK)) as receiver,
        webhook_client(resolver=SlowResolver()) as client,
    ):
        url = f"http://receiver.test:{receiver.port}/"
        outcomes = await asyncio.gather(*(client.send(request_to(url)) for _ in range(3)))

    assert all(isinstance(outcome.result, Response) for outcome in outcomes)


async def test_the_host_of_a_url_is_the_address_of_its_last_lookup() -> None:
    async with hostile(responding_with(OK)) as receiver:
        resolver = FakeResolver(receiver=["127.0.0.2", "127.0.0.1"])
        async with webhook_client(resolver=resolver) as client:
            url = f"http://receiver.test:{receiver.port}/"
            before = client.host_of(url)
            await client.send(request_to(url))

            assert before is None
            assert client.host_of(url) == "127.0.0.1"
            assert client.host_of("http://127.0.0.3/") == "127.0.0.3"
            assert client.host_of("http://never.test/") is None
            assert client.host_of("not a URL") is None


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("a.b.example.com", "example.com"),
        ("example.com", "example.com"),
        ("a.example.co.uk", "example.co.uk"),
        ("example.co.uk", "example.co.uk"),
        ("a.b.ab.com", "ab.com"),
        ("a.b.xy.de", "xy.de"),
        ("co.uk", "co.uk"),
        ("localhost", "localhost"),
        ("a.example.com.", "example.com"),
    ],
)
def test_the_domain_of(host: str, domain: str) -> None:
    assert domain_of(host) == domain
