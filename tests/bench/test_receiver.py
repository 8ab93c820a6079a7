"""The receiver of the benchmarks counts, keeps times, and delays or withholds its answers."""

import asyncio
import ssl
import time

import aiohttp
import pytest

from tests.bench.receiver import Receiver, receiving


async def post(
    session: aiohttp.ClientSession, url: str, message_id: str, *, tls: ssl.SSLContext | None = None
) -> int:
    headers = {"webhook-id": message_id}
    async with session.post(url, data=b"{}", headers=headers, ssl=tls or True) as answer:
        return answer.status


async def test_requests_are_counted_by_kind_and_messages_by_path() -> None:
    async with receiving() as receiver, aiohttp.ClientSession() as session:
        began = time.monotonic()
        for path, message in (("a/1", "x"), ("a/1", "x"), ("a/2", "x"), ("b/1", "y")):
            assert await post(session, f"{receiver.url}/{path}", message) == 200

        counts = await receiver.counts("a")
        arrivals = await receiver.arrivals("b")

        assert (counts.requests, counts.distinct) == (3, 2)
        assert began <= counts.last_at <= arrivals["y"] <= time.monotonic()
        assert (await receiver.counts("none")).last_at == 0.0


async def test_everything_is_forgotten_after_a_reset() -> None:
    async with receiving() as receiver, aiohttp.ClientSession() as session:
        await post(session, f"{receiver.url}/a/1", "x")

        await receiver.reset()

        assert (await receiver.counts("a")).requests == 0
        assert await receiver.arrivals("a") == {}


async def test_a_wait_ends_with_the_last_message_or_when_its_time_is_over() -> None:
    async with receiving() as receiver, aiohttp.ClientSession() as session:
        waiting = asyncio.create_task(receiver.wait("a", 2, within=30))
        for message in ("x", "x", "y"):
            await post(session, f"{receiver.url}/a/1", message)

        assert (await waiting).distinct == 2
        assert (await receiver.wait("a", 3, within=0.01)).distinct == 2


async def test_one_kind_is_never_answered() -> None:
    async with receiving() as receiver, aiohttp.ClientSession() as session:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(post(session, f"{receiver.url}/hang/1", "x"), 0.2)

        assert (await receiver.counts("hang")).requests == 1


async def test_over_tls_the_certificate_is_the_announced_authoritys() -> None:
    async with receiving() as receiver, aiohttp.ClientSession() as session:
        trusted = context_for(receiver)

        assert await post(session, f"{receiver.tls_url}/a/1", "x", tls=trusted) == 200


def context_for(receiver: Receiver) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=receiver.authority)
