"""Name lookups with a name server on loopback."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from daemon.config.machine_names import machine_names
from daemon.core.errors import PostponedError
from daemon.egress.resolver import CaresResolver, LookupFailedError, NoPublicAddressError
from tests.support.daemons import until
from tests.support.nameserver import NO_SUCH_NAME, Answer, name_server


async def test_a_lookup_returns_all_addresses_of_a_name() -> None:
    async with name_server() as server:
        server.answer = lambda _: ["93.184.216.34", "2606:2800:220:1::1"]
        resolver = CaresResolver([server.address])

        found = await resolver.addresses("receiver.test")

        await resolver.close()
        assert sorted(found) == ["2606:2800:220:1::1", "93.184.216.34"]


IPV4 = [f"93.184.{at // 256}.{at % 256}" for at in range(4000)]
IPV6 = [f"2606:2800::{at:x}" for at in range(1, 61)]


MANY = {
    "60 and 60": (IPV4[:60] + IPV6, IPV4[:60]),  # those of IPv6 do not fit into a message
    "60 of IPv6": (IPV6, IPV6),
    "70 of IPv4": (IPV4[:70], IPV4[:70]),
    "128 of IPv4": (IPV4[:128], IPV4[:128]),
}


@pytest.mark.parametrize(("answer", "found"), MANY.values(), ids=MANY)
async def test_a_name_may_have_many_addresses(answer: list[str], found: list[str]) -> None:
    async with name_server() as server:
        server.answer = lambda _: answer
        resolver = CaresResolver([server.address])

        addresses = await resolver.addresses("many.test")

        await resolver.close()
        assert sorted(addresses) == sorted(found)


async def test_a_name_with_too_many_addresses_is_refused() -> None:
    async with name_server() as server:
        server.answer = lambda _: IPV4[:129]
        resolver = CaresResolver([server.address])

        with pytest.raises(LookupFailedError, match=r"^it has too many addresses$"):
            await resolver.addresses("many.test")

        await resolver.close()


async def test_what_fits_into_a_message_is_enough() -> None:
    async with name_server() as server:
        server.answer = lambda _: [*IPV4, IPV6[0]]
        resolver = CaresResolver([server.address])

        found = await resolver.addresses("many.test")

        await resolver.close()
        assert found == [IPV6[0]]
        assert server.queries == ["many.test"] * 2  # one of each family, none over TCP


async def test_names_beside_a_crowd_with_thousands_of_addresses_are_found() -> None:
    answers = {"good": ["93.184.216.34"], "long": IPV6, "none": []}
    async with name_server() as server:
        server.answer = lambda name: answers.get(name.partition(".")[0], IPV4[:1000])
        resolver = CaresResolver([server.address])
        crowd = [asyncio.ensure_future(resolver.addresses(f"many{at}.test")) for at in range(5)]
        await until(lambda: len(server.queries) > 2 * len(crowd))  # over TCP, too

        good = await resolver.addresses("good.test")
        with pytest.raises((NoPublicAddressError, PostponedError)):
            await resolver.addresses("none.test")
        errors = await asyncio.gather(*crowd, return_exceptions=True)
        long: list[str] = []

        async def is_found() -> bool:  # once the channel has rested
            with suppress(PostponedError):
                long[:] = await resolver.addresses("long.test")
            return bool(long)

        await until(is_found, within=10)
        await resolver.close()
        assert good == ["93.184.216.34"]
        assert {type(each) for each in errors} <= {LookupFailedError, PostponedError}
        assert sorted(long) == sorted(IPV6)


async def test_a_long_lookup_that_was_given_up_holds_up_the_next_for_a_second_at_most() -> None:
    silent = asyncio.Event()

    def answer(name: str) -> Answer:
        if name == "silent.test" and server.queries.count(name) > 2:
            silent.set()
            return None
        return IPV6

    async with name_server() as server:
        server.answer = answer
        resolver = CaresResolver([server.address])
        given_up = asyncio.ensure_future(resolver.addresses("silent.test"))
        await silent.wait()
        given_up.cancel()

        async def is_found() -> bool:
            with suppress(PostponedError):
                return bool(await resolver.addresses("many.test"))
            return False

        await until(is_found, within=5)
        await resolver.close()


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

        with pytest.raises(NoPublicAddressError):
            await resolver.addresses("missing.test")

        await resolver.close()


@pytest.fixture
def search_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """
    Give c-ares a search list and an alias, both in the domain that is returned.

    LOCALDOMAIN overrides `search` in resolv.conf (resolv.conf(5)); for HOSTALIASES see hostname(7).
    """
    (tmp_path / "aliases").write_text("alias other.corp.example\n")
    monkeypatch.setenv("LOCALDOMAIN", "corp.example")
    monkeypatch.setenv("HOSTALIASES", str(tmp_path / "aliases"))
    return "corp.example"


LONG_NAME = ".".join(["a" * 63, "b" * 63, "c" * 63, "d" * 61])  # 253 characters


@pytest.mark.parametrize(
    "name", ["db", "alias", "db.prod", "hooks.example.com", "under_score.example.com", LONG_NAME]
)
async def test_a_name_is_looked_up_as_it_is_written(name: str, search_list: str) -> None:
    async with name_server() as server:
        server.answer = lambda asked: ["10.0.0.1"] if asked.endswith(search_list) else NO_SUCH_NAME
        resolver = CaresResolver([server.address])

        with pytest.raises(NoPublicAddressError):
            await resolver.addresses(name)

        await resolver.close()
        assert set(server.queries) == {name}


@pytest.mark.parametrize(
    ("chain", "is_denied"),
    [
        (["DB.Corp.Example"], True),
        (["cdn.example.com", "a.b.corp.example", "edge.example.com"], True),
        (["cdn.example.com", "corp.example", "corp.example.com"], False),
    ],
)
async def test_an_alias_of_a_denied_name_counts_as_not_existing(
    chain: list[str], *, is_denied: bool
) -> None:
    async with name_server() as server:
        server.answer = lambda _: [*chain, "93.184.216.34"]
        resolver = CaresResolver([server.address], denied=frozenset({"*.corp.example"}))

        try:
            found = await resolver.addresses("hooks.example.com")
        except NoPublicAddressError:
            found = None

        await resolver.close()
        assert found == (None if is_denied else ["93.184.216.34"])


@pytest.mark.parametrize("name", sorted({"localhost", *machine_names()}))
async def test_the_hosts_file_is_not_read(name: str) -> None:
    async with name_server() as server:
        server.answer = lambda _: ["93.184.216.34"]
        resolver = CaresResolver([server.address])

        found = await resolver.addresses(name)

        await resolver.close()
        assert found == ["93.184.216.34"]


async def test_the_operator_s_names_may_be_relative_or_in_the_hosts_file(
    search_list: str,
) -> None:
    async with name_server() as server:
        server.answer = lambda name: ["10.0.0.1"] if name.endswith(search_list) else NO_SUCH_NAME
        resolver = CaresResolver([server.address], for_operator=True)

        relative = await resolver.addresses("proxy")
        listed = await resolver.addresses("localhost")

        await resolver.close()
        assert relative == ["10.0.0.1"]
        assert set(listed) <= {"127.0.0.1", "::1"}
