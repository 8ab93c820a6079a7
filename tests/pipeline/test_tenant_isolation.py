"""Crowds of webhooks that hang take no slot from another tenant, with a real daemon."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit
from uuid import UUID

import pytest

from daemon.egress import client
from daemon.pipeline.result_writer import ResultWriter
from daemon.service import Service
from tests.support.application import Application
from tests.support.client import FakeResolver
from tests.support.daemons import serving, until
from tests.support.deliveries import inbox_is_empty, nothing_pending, settled
from tests.support.receiver import Receiver, Reply, receiving

SLOTS = 24
TIMEOUT_SECONDS = 20  # for what hangs; all other events are to be delivered before
CROWD = 60
EVENTS = 20


@asynccontextmanager
async def few_slots(database: str) -> AsyncIterator[Service]:
    delivery = {"concurrency": SLOTS, "timeout": f"{TIMEOUT_SECONDS}s", "drain": "0s"}
    async with serving(database, delivery=delivery) as service:
        yield service


async def crowd_of(app: Application, receiver: Receiver, *, tenants: int) -> list[UUID]:
    """Insert webhooks of some tenants at one receiver; return the tenants."""
    ids = [await app.tenant() for _ in range(tenants)]
    for n in range(CROWD):
        await app.webhook(ids[n % tenants], f"{receiver.url}/{n}")
    return ids


async def timed_out(app: Application) -> int:
    return int(
        await app.db.fetchval("SELECT count(*) FROM webhook_deliveries WHERE status = 'failed'")
    )


def never() -> Reply:
    return Reply(after=60.0)


@pytest.mark.parametrize("tenants", [1, 3])
async def test_fresh_webhooks_that_hang_delay_no_event_of_a_newcomer(
    app: Application, database: str, receiver: Receiver, tenants: int
) -> None:
    async with receiving(address="127.0.0.2") as hanging:
        hanging.answer = lambda _: never()
        crowd = await crowd_of(app, hanging, tenants=tenants)
        newcomer = await app.tenant()
        webhook = await app.webhook(newcomer, receiver.url + "/healthy")
        async with few_slots(database):
            for tenant in crowd:
                await app.events(tenant, 2)
            await until(lambda: hanging.open_now >= 5)
            for n in range(EVENTS):
                await app.event(newcomer)
                await until(lambda n=n: len(receiver.received) == n + 1)
            failed_before = await timed_out(app)
            await until(lambda: settled(app, webhook, "success", EVENTS))

    assert failed_before == 0
    assert hanging.open_most <= SLOTS * 3 // 4


@pytest.mark.parametrize("tenants", [1, 3])
async def test_bad_neighbours_at_the_same_address_delay_no_other_tenant(
    app: Application, database: str, receiver: Receiver, tenants: int
) -> None:
    good = ("/healthy", "/fresh")
    receiver.answer = lambda request: Reply() if request.path in good else never()
    crowd = await crowd_of(app, receiver, tenants=tenants)
    healthy = await app.tenant()
    webhook = await app.webhook(healthy, receiver.url + "/healthy")
    newcomer = await app.tenant()
    await app.webhook(newcomer, receiver.url + "/fresh")
    async with few_slots(database):
        await app.event(healthy)
        await until(lambda: settled(app, webhook, "success", 1))
        for tenant in crowd:
            await app.events(tenant, 2)
        await until(lambda: receiver.open_now >= 5)
        for n in range(EVENTS):
            await app.event(healthy)
            await until(lambda n=n: len(receiver.at("/healthy")) == n + 2)
            await app.event(newcomer)
            await until(lambda n=n: len(receiver.at("/fresh")) == n + 1)
        failed_before = await timed_out(app)

    assert failed_before == 0
    assert receiver.open_most <= SLOTS * 3 // 4 + 1


async def test_a_host_that_goes_down_with_many_good_webhooks_delays_no_other(
    app: Application, database: str, receiver: Receiver
) -> None:
    async with receiving(address="127.0.0.2") as down:
        [crowd] = await crowd_of(app, down, tenants=1)
        other = await app.tenant()
        await app.webhook(other, receiver.url + "/healthy")
        async with few_slots(database):
            await app.events(crowd, 3)
            await until(lambda: len(down.received) == 3 * CROWD)
            await until(lambda: down.open_now == 0)
            down.answer, down.open_most = lambda _: never(), 0
            await app.events(crowd, 3)
            await until(lambda: down.open_now >= SLOTS // 2)
            for n in range(EVENTS):
                await app.event(other)
                await until(lambda n=n: len(receiver.received) == n + 1)
            failed_before = await timed_out(app)

    assert failed_before == 0
    assert down.open_most <= SLOTS * 3 // 4


class HalfDeadNames(FakeResolver):
    """Names that begin with `dead` get no reply; the others are on loopback."""

    async def addresses(self, host: str) -> list[str]:
        self.lookups.append(host)
        if host.startswith("dead"):
            await asyncio.Event().wait()
        return ["127.0.0.1"]


async def test_names_that_never_resolve_delay_no_event_of_a_newcomer(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver = HalfDeadNames()
    monkeypatch.setattr(client, "CaresResolver", lambda **_: resolver)
    crowd, newcomer = await app.tenant(), await app.tenant()
    for n in range(CROWD):
        await app.webhook(crowd, f"http://dead.name{n}.example/")
    port = urlsplit(receiver.url).port
    await app.webhook(newcomer, f"http://good.example:{port}/")
    async with few_slots(database):
        await app.events(crowd, 2)
        await until(lambda: len(resolver.lookups) >= 5)
        for n in range(EVENTS):
            await app.event(newcomer)
            await until(lambda n=n: len(receiver.received) == n + 1)
        failed_before = await timed_out(app)

    assert failed_before == 0


@pytest.mark.full
async def test_a_tenant_alone_with_quick_webhooks_uses_most_slots(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(after=0.2)
    [tenant] = await crowd_of(app, receiver, tenants=1)
    async with few_slots(database):
        await app.events(tenant, 10)
        await until(lambda: len(receiver.received) == 10 * CROWD)

    assert receiver.open_most >= SLOTS // 2


async def test_results_that_take_long_to_store_keep_no_other_tenant_from_beginning(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, stored, blocked = ResultWriter.run_once, asyncio.Event(), False

    async def run_once(self: ResultWriter) -> float:
        if blocked:
            await stored.wait()
        return await original(self)

    monkeypatch.setattr(ResultWriter, "run_once", run_once)
    async with receiving(address="127.0.0.2") as crowded:
        [crowd] = await crowd_of(app, crowded, tenants=1)
        other = await app.tenant()
        await app.webhook(other, receiver.url + "/healthy")
        async with few_slots(database):
            await app.events(crowd, 1)
            await until(lambda: inbox_is_empty(app))  # all of them are quick from now on
            await until(lambda: nothing_pending(app))
            blocked = True
            await app.events(crowd, 3)
            await until(lambda: len(crowded.received) >= CROWD + SLOTS * 3 // 4)
            await app.event(other)
            await until(lambda: receiver.received)
            begun = len(crowded.received) - CROWD
            stored.set()
            await until(lambda: len(crowded.received) == 4 * CROWD)

    assert begun < SLOTS
