"""Lookups with long replies are made one at a time, and rest after one that is too long."""

import asyncio
from asyncio import Future

import pytest
from pycares import AddrInfoNode, AddrInfoResult

from daemon.core.errors import PostponedError
from daemon.egress import long_replies
from daemon.egress.long_replies import MAX_ADDRESSES, LongReplies
from tests.support.daemons import until


class Channel:
    """Lookups that a test ends; `begun` holds their names in order."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self._lookups: dict[str, Future[AddrInfoResult]] = {}

    def look_up(self, name: str) -> Future[AddrInfoResult]:
        self.begun.append(name)
        self._lookups[name] = asyncio.get_running_loop().create_future()
        return self._lookups[name]

    def end(self, name: str, *, addresses: int) -> None:
        node = AddrInfoNode(0, 0, 2, 1, 6, (b"93.184.216.34", 0))
        self._lookups[name].set_result(AddrInfoResult([], [node] * addresses))


async def two_lookups(channel: Channel) -> tuple[Future[AddrInfoResult], Future[AddrInfoResult]]:
    """Begin lookups of `a` and `b`; returns when the first one is under way."""
    replies = LongReplies(channel.look_up)
    lookups = (
        asyncio.ensure_future(replies.look_up("a")),
        asyncio.ensure_future(replies.look_up("b")),
    )
    await until(lambda: channel.begun)
    return lookups


async def test_a_lookup_begins_when_the_one_before_has_its_reply() -> None:
    channel = Channel()
    first, second = await two_lookups(channel)
    before = list(channel.begun)

    channel.end("a", addresses=MAX_ADDRESSES)

    await until(lambda: channel.begun == ["a", "b"])
    channel.end("b", addresses=1)
    assert before == ["a"]
    assert [len(found.nodes) for found in (await first, await second)] == [MAX_ADDRESSES, 1]


async def test_after_too_many_addresses_the_next_lookup_waits_many_times_as_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(long_replies, "REST", 1_000_000_000)
    monkeypatch.setattr(long_replies, "WAIT_SECONDS", 0.1)
    channel = Channel()
    first, second = await two_lookups(channel)

    channel.end("a", addresses=MAX_ADDRESSES + 1)

    assert len((await first).nodes) == MAX_ADDRESSES + 1
    with pytest.raises(PostponedError, match="too many names"):
        await second
    assert channel.begun == ["a"]


async def test_after_a_lookup_that_was_given_up_the_next_one_waits_for_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(long_replies, "WAIT_SECONDS", 0.1)
    channel = Channel()
    first, second = await two_lookups(channel)

    first.cancel()

    with pytest.raises(PostponedError, match="too many names"):
        await second
    assert channel.begun == ["a"]


async def test_a_lookup_that_failed_keeps_no_place() -> None:
    channel = Channel()
    first, second = await two_lookups(channel)

    channel._lookups["a"].set_exception(OSError())

    with pytest.raises(OSError, match=r"^$"):
        await first
    await until(lambda: channel.begun == ["a", "b"])
    second.cancel()
