"""Replies of name servers are not kept, whatever time to live they have."""

import asyncio

import pytest

from daemon.egress import dns_channel
from daemon.egress.dns_channel import LONGEST_SECONDS
from daemon.egress.resolver import MOST_KEPT, CaresResolver
from tests.support.daemons import until
from tests.support.nameserver import name_server

HOUR = 3600
PAIR = 2  # queries of a lookup: one for each family of addresses


async def test_an_address_that_has_changed_is_known_within_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dns_channel, "KEPT_SECONDS", 0.05)
    async with name_server(ttl=HOUR) as server:
        resolver = CaresResolver([server.address])
        server.answer = lambda _: ["93.184.216.34"]
        before = await resolver.addresses("receiver.test")
        server.answer = lambda _: ["93.184.216.35"]

        async def changed() -> bool:
            await asyncio.sleep(0.05)  # each lookup may be answered by the reply before
            return await resolver.addresses("receiver.test") == ["93.184.216.35"]

        await until(changed)
        await resolver.close()
    assert before == ["93.184.216.34"]


async def test_many_names_are_forgotten_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns_channel, "KEPT_SECONDS", 600.0)
    async with name_server(ttl=HOUR) as server:
        server.answer = lambda _: ["93.184.216.34"]
        resolver = CaresResolver([server.address])
        await resolver.addresses("first.test")
        for number in range(MOST_KEPT):
            await resolver.addresses(f"receiver{number}.test")

        async def is_asked_again() -> bool:
            await resolver.addresses("first.test")
            return server.queries.count("first.test") == 2 * PAIR

        await until(is_asked_again)
        await resolver.close()


async def test_a_few_names_are_looked_up_without_a_pause_and_nothing_is_left_to_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dns_channel, "KEPT_SECONDS", 0.05)
    monkeypatch.setattr(dns_channel, "LONGEST_SECONDS", 0.1)
    async with name_server(ttl=HOUR) as server:
        server.answer = lambda _: ["93.184.216.34", "2606:2800:220:1::1"]
        resolver = CaresResolver([server.address])

        found = await asyncio.gather(*(resolver.addresses(f"r{n}.test") for n in range(200)))
        channel = resolver._over_udp
        await until(lambda: channel._forgetting is None)
        again = await resolver.addresses("r0.test")

        await resolver.close()
    assert {len(each) for each in [*found, again]} == {2}
    assert LONGEST_SECONDS > 0.25 * (2**4 - 1)  # the tries of c-ares
