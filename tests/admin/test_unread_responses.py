"""Responses that nobody reads take a bounded memory, of which one caller keeps none from others."""

import asyncio
import socket
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from functools import partial
from uuid import UUID

import pytest
from yarl import URL

from daemon.admin.server import app as admin_app
from daemon.admin.server import request_limits, request_turns, unread_responses
from daemon.admin.server.request_turns import MAX_RUNNING
from daemon.admin.server.unread_responses import UnreadResponses
from tests.support.api_client import OPERATOR, ApiClient, serving_api
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.raw_http import probe

MIB = 1024 * 1024


class Sending:
    """Responses to owners, until they are read or given up; `dropped` has the names of those."""

    def __init__(self) -> None:
        self.drops = 0
        self.responses = UnreadResponses(self._count)
        self.dropped: list[str] = []
        self._open: dict[str, AsyncExitStack] = {}
        self._stack = AsyncExitStack()

    def send(self, name: str, *, size: int = 10) -> None:
        """Send a response to the owner that the name begins with."""
        stack = self._open[name] = AsyncExitStack()
        stack.enter_context(
            self.responses.sending(name[0], size, partial(self.dropped.append, name))
        )

    def _count(self) -> None:
        self.drops += 1

    async def read(self, name: str) -> None:
        """The owner has read it."""
        await self._open.pop(name).aclose()


@pytest.fixture
def sending(monkeypatch: pytest.MonkeyPatch) -> Sending:
    """With room for ten responses."""
    monkeypatch.setattr(unread_responses, "MOST_BYTES", 100)
    monkeypatch.setattr(unread_responses, "NEXT_BYTES", 20)
    monkeypatch.setattr(unread_responses, "SMALL_BYTES", 1)
    return Sending()


def test_one_alone_may_have_all_of_the_room(sending: Sending) -> None:
    for number in range(10):
        sending.send(f"a{number}")

    assert sending.dropped == []
    assert sending.responses.bytes == 100


def test_the_one_with_most_gives_up_what_it_has_left_unread_longest(sending: Sending) -> None:
    sending.send("b0")
    for number in range(9):
        sending.send(f"a{number}")

    sending.send("b1")
    sending.send("c0")

    assert sending.dropped == ["a0", "a1"]
    assert sending.responses.bytes == 100


def test_a_newcomer_has_room_beside_many_that_hold_as_much(sending: Sending) -> None:
    for owner in "abcdefghij":
        sending.send(f"{owner}0")

    sending.send("x0")

    assert sending.dropped == ["a0"]


def test_one_that_exceeds_the_room_gives_up_its_own(sending: Sending) -> None:
    sending.send("b0")
    for number in range(12):
        sending.send(f"a{number}")

    assert sending.dropped == ["a0", "a1", "a2"]
    assert sending.drops == 3


def test_a_response_that_is_larger_than_all_of_the_room_is_sent_alone(sending: Sending) -> None:
    sending.send("a0")
    sending.send("b0", size=1000)

    assert sending.dropped == ["a0"]
    assert sending.responses.bytes == 1000


async def test_what_is_read_or_given_up_takes_no_room(sending: Sending) -> None:
    for number in range(11):
        sending.send(f"a{number}")
    for number in range(11):
        await sending.read(f"a{number}")

    assert sending.responses.bytes == 0


async def test_the_one_with_most_waits_for_room_until_something_is_read(sending: Sending) -> None:
    for number in range(9):
        sending.send(f"a{number}")
    waiting = asyncio.create_task(sending.responses.room("a"))
    await sending.responses.room("b")
    assert not waiting.done()

    await sending.read("a0")

    await waiting


async def test_no_room_is_needed_for_a_small_response(sending: Sending) -> None:
    sending.send("a0", size=1)

    assert sending.responses.bytes == 0


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], UnreadResponses]:
    """The responses that the daemon which runs is sending, once there is one."""
    made: list[UnreadResponses] = []

    def make(on_dropped: Callable[[], None]) -> UnreadResponses:
        made.append(UnreadResponses(on_dropped))
        return made[-1]

    monkeypatch.setattr(admin_app, "UnreadResponses", make)
    return lambda: made[-1]


def requesting(path: str, tenant: UUID) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Authorization: Bearer {OPERATOR}\r\nX-Tenant-ID: {tenant}\r\n\r\n"
    ).encode()


@contextmanager
def not_reading(api: ApiClient, request: bytes) -> Iterator[socket.socket]:
    """A client that has sent a request, and reads nothing of the response."""
    url = URL(api.url("/"))
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((url.host, url.port))
        client.setblocking(False)
        client.send(request)
        yield client


@asynccontextmanager
async def traced() -> AsyncIterator[Callable[[], int]]:
    """How many bytes are allocated since now and not freed."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield lambda: tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


async def test_responses_that_nobody_reads_take_a_bounded_memory_that_comes_back(
    app: Application,
    database: str,
    tenant: UUID,
    monkeypatch: pytest.MonkeyPatch,
    counted: Callable[[], UnreadResponses],
) -> None:
    monkeypatch.setattr(unread_responses, "MOST_BYTES", 4 * MIB)
    event = await app.event(tenant, {"text": "x" * 1_000_000})
    other = await app.tenant()
    other_event = await app.event(other, {"text": "y" * 1_000_000})
    async with serving_api(database, tenant) as api, AsyncExitStack() as stack:
        path = f"/api/events/{event}"
        await api.get(path)
        taken = await stack.enter_async_context(traced())
        clients = [
            stack.enter_context(not_reading(api, requesting(path, tenant))) for _ in range(16)
        ]
        await until(lambda: counted().bytes > 2 * MIB)

        # Those of others are neither refused nor cut.
        for _ in range(3):
            answer = await api.as_tenant(other).get(f"/api/events/{other_event}")
            assert len(answer.json["data"]["text"]) == 1_000_000
        assert await probe(api, "/metrics") == 200
        assert counted().bytes <= 4 * MIB
        assert taken() < 10 * MIB  # 16 responses, and a copy of each: 32

        for each in clients:
            each.close()
        await until(lambda: not counted().bytes and taken() < 3 * MIB)


async def test_a_body_is_not_copied_to_be_sent(
    app: Application, database: str, tenant: UUID, counted: Callable[[], UnreadResponses]
) -> None:
    event = await app.event(tenant, {"text": "x" * 1_000_000})
    async with serving_api(database, tenant) as api, traced() as taken:
        with not_reading(api, requesting(f"/api/events/{event}", tenant)):
            await until(lambda: counted().bytes > MIB // 2)

            await until(lambda: taken() < 1.8 * MIB)


async def test_the_system_takes_little_of_what_is_not_read(
    app: Application, database: str, tenant: UUID, counted: Callable[[], UnreadResponses]
) -> None:
    event = await app.event(tenant, {"text": "x" * 600_000})
    async with serving_api(database, tenant) as api:
        with not_reading(api, requesting(f"/api/events/{event}", tenant)):
            await until(lambda: counted().bytes > 600_000)
            for _ in range(3):
                assert await probe(api) == 200

            assert counted().bytes > 600_000


async def test_a_response_that_is_not_read_keeps_the_turn_of_its_caller_for_a_while(
    app: Application,
    database: str,
    tenant: UUID,
    monkeypatch: pytest.MonkeyPatch,
    counted: Callable[[], UnreadResponses],
) -> None:
    monkeypatch.setattr(request_limits, "SENDING_SECONDS", 1000.0)
    monkeypatch.setattr(request_limits, "REFUSAL_SECONDS", 0.0)
    monkeypatch.setattr(request_turns, "WAIT_SECONDS", 1.0)
    event = await app.event(tenant, {"text": "x" * 600_000})
    request = requesting(f"/api/events/{event}", tenant)
    other = await app.tenant()
    async with serving_api(database, tenant) as api:
        with ExitStack() as stack:
            for _ in range(MAX_RUNNING):
                stack.enter_context(not_reading(api, request))
            await until(lambda: counted().bytes > MAX_RUNNING * 600_000)
            assert (await api.get("/api/webhooks")).status == 429
            assert (await api.as_tenant(other).get("/api/webhooks")).status == 200

        await until(lambda: not counted().bytes)
        assert (await api.get("/api/webhooks")).status == 200


async def test_a_client_that_reads_slowly_keeps_no_turn(
    app: Application,
    database: str,
    tenant: UUID,
    monkeypatch: pytest.MonkeyPatch,
    counted: Callable[[], UnreadResponses],
) -> None:
    monkeypatch.setattr(request_limits, "SENDING_SECONDS", 0.01)
    event = await app.event(tenant, {"text": "x" * 600_000})
    request = requesting(f"/api/events/{event}", tenant)
    async with serving_api(database, tenant) as api:
        with ExitStack() as stack:
            for _ in range(MAX_RUNNING):
                stack.enter_context(not_reading(api, request))
            await until(lambda: counted().bytes > MAX_RUNNING * 600_000)

            assert (await api.get("/api/webhooks")).status == 200


LARGE = """
    INSERT INTO webhooks (tenant_id, name, endpoint_url, secret_key, description, event_types)
    SELECT $1, 'webhook ' || lpad(number::text, 3, '0'), 'https://a.example/', 'whsec_' || number,
           $2, $3
      FROM generate_series(1, $4) AS number
"""


async def listed(api: ApiClient, *, limit: int) -> list[tuple[int, list[str]]]:
    """All pages of the list of webhooks: the size in bytes and the names of each."""
    pages: list[tuple[int, list[str]]] = []
    after: dict[str, str] = {}
    while True:
        answer = await api.get("/api/webhooks", limit=limit, **after)
        names = [each["name"] for each in answer.json["webhooks"]]
        pages.append((len(answer.text.encode()), names))
        if answer.json["next"] is None:
            return pages
        after = {"after": answer.json["next"]}


@pytest.mark.parametrize(
    ("description", "types"),
    [("\U0001d4d0" * 10_000, None), (None, [f"contact.{number:030}" for number in range(100)])],
)
async def test_a_page_of_large_webhooks_ends_early(
    app: Application,
    database: str,
    tenant: UUID,
    description: str | None,
    types: list[str] | None,
) -> None:
    await app.db.execute(LARGE, tenant, description, types, 150)
    async with serving_api(database, tenant) as api:
        pages = await listed(api, limit=200)

    assert len(pages) > 1
    assert max(size for size, _ in pages) < 2 * MIB
    assert [name for _, names in pages for name in names] == [
        f"webhook {number:03}" for number in range(1, 151)
    ]


async def test_a_page_of_ordinary_webhooks_is_as_long_as_was_asked_for(
    app: Application, database: str, tenant: UUID
) -> None:
    description = "What this webhook is for, in a few words of an honest length. " * 10
    await app.db.execute(LARGE, tenant, description, ["email.*", "contact.created"], 450)
    async with serving_api(database, tenant) as api:
        pages = await listed(api, limit=200)

    assert [len(names) for _, names in pages] == [200, 200, 50]
