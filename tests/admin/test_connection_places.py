"""Crowds of connections to the admin port: probes are always answered, honest clients stay."""

import asyncio
import socket
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import pytest
from yarl import URL

from daemon.admin.server import connection_places
from daemon.admin.server.connection_places import ConnectionPlaces, Place
from tests.support.api_client import OPERATOR, ApiClient, serving_api
from tests.support.daemons import until
from tests.support.hostile import OK, Connection, hostile
from tests.support.raw_http import HEALTH, OPENAPI, RawClient, connected, crowd, probe

HEALTH_PATHS = ("/healthz", "/readyz", "/metrics")
HOST = "Host: 127.0.0.1\r\n"
HALF_HEAD = b"GET /healthz HTTP/1.1\r\nX: "
HALF_BODY = (
    f"POST /api/webhooks HTTP/1.1\r\n{HOST}Authorization: Bearer {OPERATOR}\r\n"
    "Content-Type: application/json\r\nContent-Length: 1000\r\n"
).encode()


async def probe_each(api: ApiClient, *, source: str = "127.0.0.1") -> list[int]:
    return [await probe(api, path, source=source) for path in HEALTH_PATHS]


def half_body(tenant: UUID) -> bytes:
    return HALF_BODY + f"X-Tenant-ID: {tenant}\r\n\r\n".encode() + b'{"n'


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(HALF_HEAD, id="half a head"),
        pytest.param(HEALTH, id="health"),
        pytest.param(OPENAPI, id="a page"),
    ],
)
@pytest.mark.parametrize("sources", [1, 8])
async def test_probes_are_answered_beside_520_idle_connections(
    database: str, tenant: UUID, sent: bytes, sources: int
) -> None:
    async with serving_api(database, tenant) as api, AsyncExitStack() as stack:
        for number in range(sources):
            source = f"127.0.0.{number + 1}"
            clients = crowd(api, 520 // sources, source=source, sent=sent)
            await stack.enter_async_context(clients)

        from_there = await probe_each(api)
        from_elsewhere = await probe_each(api, source="127.0.0.99")

    assert from_there + from_elsewhere == [200] * 6


async def test_probes_are_answered_beside_520_half_bodies(database: str, tenant: UUID) -> None:
    async with (
        serving_api(database, tenant) as api,
        crowd(api, 520, sent=half_body(tenant)),
    ):
        found = await probe_each(api) + await probe_each(api, source="127.0.0.99")

    assert found == [200] * 6


@pytest.mark.parametrize("path", ["/openapi.json", "/metrics"])
async def test_probes_are_answered_beside_clients_with_tiny_windows(
    database: str, tenant: UUID, path: str
) -> None:
    """These leave nearly all of a response in the daemon's memory, and read none of it."""
    request = f"GET {path} HTTP/1.1\r\n{HOST}\r\n".encode() * 2
    async with serving_api(database, tenant) as api, AsyncExitStack() as stack:
        url = URL(api.url("/"))
        for _ in range(520):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, (url.host, url.port))
            client.send(request)

        found = await probe_each(api) + await probe_each(api, source="127.0.0.99")

    assert found == [200] * 6


async def test_an_idle_connection_survives_while_the_server_is_quiet(
    database: str, tenant: UUID
) -> None:
    async with serving_api(database, tenant) as api, connected(api) as dashboard:
        first = await dashboard.ask(OPENAPI)
        async with crowd(api, 300, sent=OPENAPI) as others:
            answered = [await client.status() for client in others]
            second = await dashboard.ask(OPENAPI)

    assert (first, second) == (200, 200)
    assert answered == [200] * 300


async def test_one_peer_does_not_evict_the_idle_connections_of_another(
    database: str, tenant: UUID
) -> None:
    async with (
        serving_api(database, tenant) as api,
        connected(api, source="127.0.0.2") as dashboard,
    ):
        first = await dashboard.ask(OPENAPI)
        async with crowd(api, 600, sent=OPENAPI), crowd(api, 600):
            await probe(api)

            second = await dashboard.ask(OPENAPI)

    assert (first, second) == (200, 200)


async def test_a_prober_keeps_its_connection_while_others_come(database: str, tenant: UUID) -> None:
    async with serving_api(database, tenant) as api, connected(api) as prober:
        first = await prober.ask(HEALTH)
        async with AsyncExitStack() as stack:
            for number in range(5):
                clients = crowd(api, 120, source=f"127.0.0.{number + 2}", sent=OPENAPI)
                await stack.enter_async_context(clients)
            await probe(api)

            second = await prober.ask(HEALTH)

    assert (first, second) == (200, 200)


async def test_a_hundred_concurrent_clients_are_all_answered(database: str, tenant: UUID) -> None:
    async def work(client: RawClient) -> set[int]:
        return {await client.ask(OPENAPI) for _ in range(5)}

    async with serving_api(database, tenant) as api, crowd(api, 100) as clients:
        found = await asyncio.gather(*map(work, clients))

    assert found == [{200}] * 100


async def test_a_request_under_way_is_never_evicted(database: str, tenant: UUID) -> None:
    released = asyncio.Event()

    async def answer_late(connection: Connection) -> None:
        await connection.request()
        await released.wait()
        await connection.send(OK)

    async with (
        hostile(answer_late) as receiver,
        serving_api(database, tenant, delivery={"timeout": "30s"}) as api,
    ):
        path = f"/api/webhooks/{(await api.create_webhook(receiver.url))['id']}/test"
        requests = [asyncio.create_task(api.post(path)) for _ in range(3)]
        await until(lambda: receiver.open_now == 3)
        async with crowd(api, 520), crowd(api, 520, sent=OPENAPI):
            await probe(api)
            released.set()

            found = [(await request).status for request in requests]

    assert found == [200] * 3


@pytest.fixture
def few_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_places, "MAX_CONNECTIONS", 12)
    monkeypatch.setattr(connection_places, "PROBE_PLACES", 4)
    monkeypatch.setattr(connection_places, "NEARLY_FULL", 6)
    monkeypatch.setattr(connection_places, "MAX_PER_PEER", 3)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[Place]:
    """The places in which a request other than a probe's has begun, in this order."""
    places = []
    begin = ConnectionPlaces.begin

    def note(self: ConnectionPlaces, place: Place, *, is_probe: bool, **of: Any) -> bool:
        has_place = begin(self, place, is_probe=is_probe, **of)
        if has_place and not is_probe:
            places.append(place)
        return has_place

    monkeypatch.setattr(ConnectionPlaces, "begin", note)
    return places


@pytest.mark.usefixtures("few_places")
async def test_the_connection_that_is_idle_longest_makes_room(database: str, tenant: UUID) -> None:
    async with serving_api(database, tenant) as api, AsyncExitStack() as stack:
        clients = [await asked(stack, api, number) for number in range(9)]

        await until(lambda: clients[0].is_closed)

        assert [client.is_closed for client in clients] == [True] + [False] * 8


@pytest.mark.usefixtures("few_places")
async def test_requests_beyond_the_places_are_a_503_while_probes_are_served(
    database: str, tenant: UUID, begun: list[Place]
) -> None:
    async with serving_api(database, tenant) as api, AsyncExitStack() as stack:
        for number in range(8):
            source = f"127.0.0.{number + 2}"
            client = await stack.enter_async_context(connected(api, source=source))
            client.send(half_body(tenant))
        await until(lambda: len(begun) == 8)

        refused = await stack.enter_async_context(connected(api, source="127.0.0.99"))
        refused.send(OPENAPI)
        answer = await refused.read_to_end()
        found = await probe_each(api) + await probe_each(api, source="127.0.0.2")

    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"Retry-After: 5\r\n" in answer
    assert b"application/problem+json" in answer
    assert found == [200] * 6


@pytest.mark.usefixtures("few_places")
async def test_one_peer_cannot_use_every_place(database: str, tenant: UUID) -> None:
    async with (
        serving_api(database, tenant) as api,
        crowd(api, 20, sent=half_body(tenant)),
    ):
        await until(lambda: is_full(api))

        assert await probe(api, "/openapi.json", source="127.0.0.2") == 200


@pytest.mark.usefixtures("few_places")
async def test_a_trusted_proxy_can_use_every_place(database: str, tenant: UUID) -> None:
    admin = {"trusted_proxies": ["127.0.0.1/32"]}
    async with serving_api(database, tenant, admin=admin) as api, AsyncExitStack() as stack:
        clients = []
        for _ in range(8):
            clients.append(await stack.enter_async_context(connected(api)))
            await clients[-1].ask(OPENAPI)

        assert [await client.ask(OPENAPI) for client in clients] == [200] * 8


@pytest.mark.usefixtures("few_places")
async def test_a_connection_for_health_that_asks_for_more_takes_another_place(
    database: str, tenant: UUID, begun: list[Place]
) -> None:
    async with serving_api(database, tenant) as api, AsyncExitStack() as stack:
        for number in range(8):
            source = f"127.0.0.{number + 2}"
            client = await stack.enter_async_context(connected(api, source=source))
            client.send(HEALTH + half_body(tenant))
            await until(lambda expected=number + 1: len(begun) == expected)

        async with connected(api) as prober:
            found = [await prober.ask(HEALTH), await prober.ask(OPENAPI)]

    assert found == [200, 503]


async def asked(stack: AsyncExitStack, api: ApiClient, number: int) -> RawClient:
    """A connection from a peer of its own that has had an answer."""
    client = await stack.enter_async_context(connected(api, source=f"127.0.0.{number + 2}"))
    assert await client.ask(OPENAPI) == 200
    return client


async def is_full(api: ApiClient) -> bool:
    """Whether a new request of this test's address is refused."""
    return await probe(api, "/openapi.json") == 503


@pytest.mark.usefixtures("few_places")
async def test_forms_of_strangers_that_do_not_come_leave_places_for_a_tenant_and_for_probes(
    database: str, tenant: UUID, begun: list[Place]
) -> None:
    form = (
        f"POST /console/sign-in HTTP/1.1\r\n{HOST}"
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n\r\nto"
    ).encode()
    async with serving_api(database, tenant) as api, AsyncExitStack() as stack:
        for number in range(8):
            source = f"127.0.0.{number // 2 + 2}"
            client = await stack.enter_async_context(connected(api, source=source))
            client.send(form)
        await until(lambda: len(begun) == 8)

        answer = await api.get("/api/webhooks")

        assert answer.status == 200
        assert await probe_each(api) == [200] * 3
        async with connected(api, source="127.0.0.9") as stranger:
            assert await stranger.ask(OPENAPI) == 200
