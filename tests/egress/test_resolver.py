"""Name lookups, against a real name server that misbehaves on purpose."""

import asyncio

import pytest

from daemon.egress.resolver import CaresResolver, LookupFailedError
from tests.support.nameserver import NO_SUCH_NAME, name_server


async def test_a_name_is_looked_up_with_all_of_its_addresses() -> None:
    async with name_server() as server:
        server.answer = lambda _: ["93.184.216.34", "2606:2800:220:1::1"]
        resolver = CaresResolver([server.address])

        found = await resolver.addresses("receiver.test")

        await resolver.close()
        assert sorted(found) == ["2606:2800:220:1::1", "93.184.216.34"]


async def test_a_name_is_looked_up_again_once_its_answer_may_be_kept_no_longer() -> None:
    async with name_server(ttl=0) as server:
        resolver = CaresResolver([server.address])
        server.answer = lambda _: ["93.184.216.34"]
        before = await resolver.addresses("receiver.test")
        server.answer = lambda _: ["10.0.0.1"]

        after = await resolver.addresses("receiver.test")

        await resolver.close()
        assert (before, after) == (["93.184.216.34"], ["10.0.0.1"])


async def test_two_hundred_dead_names_do_not_hold_up_a_good_one() -> None:
    async with name_server() as server:
        server.answer = lambda name: None if name.startswith("dead") else ["93.184.216.34"]
        resolver = CaresResolver([server.address])
        dead = [asyncio.ensure_future(resolver.addresses(f"dead{n}.test")) for n in range(200)]
        await asyncio.sleep(0)

        found = await resolver.addresses("good.test")

        still_waiting = sum(not each.done() for each in dead)
        for each in dead:
            each.cancel()
        await asyncio.gather(*dead, return_exceptions=True)
        await resolver.close()
        assert found == ["93.184.216.34"]
        assert still_waiting == 200


async def test_a_name_that_is_not_there_is_a_failed_lookup() -> None:
    async with name_server() as server:
        server.answer = lambda _: NO_SUCH_NAME
        resolver = CaresResolver([server.address])

        with pytest.raises(LookupFailedError):
            await resolver.addresses("nobody.test")

        await resolver.close()
