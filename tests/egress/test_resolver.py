"""Name lookups with a name server on loopback."""

import asyncio

import pytest

from daemon.egress.resolver import CaresResolver, LookupFailedError
from tests.support.nameserver import NO_SUCH_NAME, name_server


async def test_a_lookup_returns_all_addresses_of_a_name() -> None:
    async with name_server() as server:
        server.answer = lambda _: ["93.184.216.34", "2606:2800:220:1::1"]
        resolver = CaresResolver([server.address])

        found = await resolver.addresses("receiver.test")

        await resolver.close()
        assert sorted(found) == ["2606:2800:220:1::1", "93.184.216.34"]


async def test_a_name_is_looked_up_again_once_its_reply_has_expired() -> None:
    async with name_server(ttl=0) as server:
        resolver = CaresResolver([server.address])
        server.answer = lambda _: ["93.184.216.34"]
        before = await resolver.addresses("receiver.test")
        server.answer = lambda _: ["10.0.0.1"]

        after = await resolver.addresses("receiver.test")

        await resolver.close()
        assert (before, after) == (["93.184.216.34"], ["10.0.0.1"])


async def test_two_hundred_lookups_without_a_reply_do_not_delay_another_one() -> None:
    async with name_server() as server:
        server.answer = lambda name: None if name.startswith("dead") else ["93.184.216.34"]
        resolver = CaresResolver([server.address])
        dead = [asyncio.ensure_future(resolver.addresses(f"dead{n}.test")) for n in range(200)]
        await asyncio.sleep(0)

        found = await resolver.addresses("good.test")

        unfinished = sum(not each.done() for each in dead)
        for each in dead:
            each.cancel()
        await asyncio.gather(*dead, return_exceptions=True)
        await resolver.close()
        assert found == ["93.184.216.34"]
        assert unfinished == 200


async def test_the_lookup_of_a_name_that_does_not_exist_fails() -> None:
    async with name_server() as server:
        server.answer = lambda _: NO_SUCH_NAME
        resolver = CaresResolver([server.address])

        with pytest.raises(LookupFailedError):
            await resolver.addresses("missing.test")

        await resolver.close()
