"""Long responses that do not end have a limit together; honest ones of other tenants end well."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest

from daemon.core.model.attempts import Failure, FailureKind, Outcome, Response
from daemon.core.model.ids import TenantId
from daemon.egress import long_responses
from daemon.egress.client import WebhookClient
from daemon.egress.long_responses import GIVEN_UP, MOST_BYTES, ORDINARY_BYTES, LongResponses
from daemon.egress.response_reader import ResponseReader
from tests.support.client import request_to, webhook_client
from tests.support.hostile import HTTP, Connection, hostile

GREEDY, HONEST = TenantId(UUID(int=1)), TenantId(UUID(int=2))
KB = 1000


class Kept:
    """Responses by name, and those that were given up."""

    def __init__(self) -> None:
        self.responses = LongResponses()
        self.given_up: list[str] = []
        self._give_up: dict[str, Callable[[str], None]] = {}

    def note(self, owner: str, name: str, size: int) -> None:
        give_up = self._give_up.setdefault(name, lambda _: self.given_up.append(name))
        self.responses.of(owner).note(give_up, size)

    def forget(self, owner: str, name: str) -> None:
        self.responses.of(owner).forget(self._give_up[name])


@pytest.fixture
def kept() -> Kept:
    return Kept()


async def test_the_oldest_of_the_tenant_with_the_most_is_given_up(kept: Kept) -> None:
    kept.note("small", "first", 60 * KB)
    for number in range(MOST_BYTES // (60 * KB)):
        kept.note("large", f"{number}", 60 * KB)
    kept.note("large", "last", 60 * KB)
    kept.note("small", "second", 60 * KB)
    await asyncio.sleep(0)

    assert kept.given_up == ["0", "1", "2"]


async def test_what_has_ended_or_is_short_by_now_is_not_counted(kept: Kept) -> None:
    for number in range(10 * MOST_BYTES // (60 * KB)):
        kept.note("any", f"{number}", 40 * KB)
        kept.note("any", f"{number}", 60 * KB)
        if number % 2:
            kept.note("any", f"{number}", ORDINARY_BYTES)
        kept.forget("any", f"{number}")
    await asyncio.sleep(0)

    assert kept.given_up == []


async def test_any_number_of_ordinary_responses_may_be_unfinished(kept: Kept) -> None:
    for number in range(2 * MOST_BYTES // ORDINARY_BYTES):
        kept.note("any", f"{number}", ORDINARY_BYTES)
    await asyncio.sleep(0)

    assert kept.given_up == []


EMOJIS = b"X: " + "😀".encode() * 2000 + b"\r\n"
BEGINNINGS = {
    "a long header": HTTP + b"200 OK\r\nX: " + b"x" * 60 * KB,
    "large headers and a long one": HTTP + b"200 OK\r\n" + EMOJIS * 3 + b"X: " + b"x" * 30 * KB,
    "a complete head": HTTP + b"200 OK\r\n" + EMOJIS * 7 + b"\r\n" + b"x" * KB,
}


@pytest.mark.parametrize("sent", BEGINNINGS.values(), ids=BEGINNINGS)
async def test_a_tenant_whose_responses_do_not_end_loses_its_own(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_responses, "MOST_BYTES", 130 * KB)
    cookies = b"".join(b"Set-Cookie: %d=%b\r\n" % (n, b"c" * 1000) for n in range(40))
    released = asyncio.Event()

    async def greedy(connection: Connection) -> None:
        await connection.request()
        await connection.send(sent)
        await connection.wait_closed()

    async def honest(connection: Connection) -> None:
        await connection.request()
        await connection.send(HTTP + b"200 OK\r\n" + cookies)
        await released.wait()
        await connection.send(b"Content-Length: 2\r\n\r\nOK")

    async with (
        webhook_client(seconds=30.0) as client,
        hostile(honest) as shop,
        hostile(greedy) as attacker,
    ):
        good = asyncio.create_task(post(client, shop.url, HONEST))
        bad = [asyncio.create_task(post(client, attacker.url, GREEDY)) for _ in range(4)]
        done, pending = await asyncio.wait(bad, return_when=asyncio.FIRST_COMPLETED)
        released.set()
        outcome = await good
        for task in pending:
            task.cancel()

    assert isinstance(outcome.result, Response)
    assert (outcome.result.status, outcome.result.body) == (200, "OK")
    assert [each.result().result for each in done] == [
        Failure(FailureKind.PROTOCOL, GIVEN_UP)
    ] * len(done)


@pytest.mark.parametrize("piece", [65_536, 700, 1])
def test_headers_of_which_little_is_kept_make_no_response_long(
    piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_responses, "MOST_BYTES", 0)  # the first long one would be given up
    head = HTTP + b"200 OK\r\n" + (b"X: " + b"x" * 50 + b"\r\n") * 990
    own = LongResponses().of("any")
    reader = ResponseReader(lambda _: None, long=own)
    for start in range(0, len(head), piece):
        reader.feed(head[start : start + piece])  # would fail: there is no event loop here

    assert not reader.done


async def post(client: WebhookClient, url: str, tenant_id: TenantId) -> Outcome:
    return await client.send(replace(request_to(url), tenant_id=tenant_id))
