"""Attacks by endpoints: those that hang, flood or fail, and names that never resolve."""

import asyncio
from functools import partial
from urllib.parse import urlsplit

from daemon.egress.pool import MAX_IDLE_SECONDS
from tests.faults.attacks.endpoints import NICENESS
from tests.faults.attacks.scene import Scene
from tests.support.daemons import until
from tests.support.hostile_crowds import hostile_process

FLOODS = ("with endless bodies", "with endless interim responses")
FLOODERS_ADDRESS = "127.0.2.1"
SLOW_CERTIFICATES = "with slow certificates in a handshake"


async def hanging(scene: Scene, *, webhooks: int = 600) -> None:
    """Webhooks of one tenant, at 60 addresses, that have never been called, and never respond."""
    urls = scene.endpoints.urls("silent", webhooks, addresses=60)
    tenant = await scene.tenant(urls)
    await scene.measure_alone()
    async with scene.attack():
        await scene.publish(tenant)


async def host_down(scene: Scene, *, webhooks: int = 600, tenants: int = 60) -> None:
    """Webhooks of many tenants at one address, quick until their process is frozen."""
    urls = scene.endpoints.urls("quick", webhooks)
    theirs = [await scene.tenant(urls[number::tenants]) for number in range(tenants)]
    warm_up = 5
    for tenant in theirs:
        await scene.publish(tenant, count=warm_up)

    await until(partial(scene.delivered, theirs, webhooks * warm_up), every=0.1)
    await scene.measure_alone()
    async with scene.attack():
        scene.endpoints.freeze()
        for tenant in theirs:
            await scene.publish(tenant, count=3)


async def colluding(scene: Scene, *, webhooks: int = 8, tenants: int = 30) -> None:
    """Webhooks of many tenants, at 60 addresses: quick until all hang, with the longest timeout."""
    urls = scene.endpoints.urls("quick", webhooks * tenants, addresses=60)
    theirs = [
        await scene.tenant(urls[first : first + webhooks], timeout_ms=30_000)
        for first in range(0, len(urls), webhooks)
    ]
    warm_up = 12
    for tenant in theirs:
        await scene.publish(tenant, count=warm_up)
    await until(partial(scene.delivered, theirs, len(urls) * warm_up), every=0.1)
    await scene.measure_alone()
    async with scene.attack():
        scene.endpoints.freeze()
        for tenant in theirs:
            await scene.publish(tenant, count=webhooks)


async def slow(scene: Scene, *, webhooks: int = 90, per_second: int = 20) -> None:
    """Webhooks of one tenant, at 50 addresses, that respond after 0.1 s: all want every event."""
    tenant = await scene.tenant(scene.endpoints.urls("slow", webhooks, addresses=50))
    await scene.measure_alone()
    async with scene.attack():
        events = int(scene.attack_seconds * per_second)
        await scene.publish_steadily(tenant, ["{}"] * events, every=1 / per_second)


async def fading_names(scene: Scene, *, webhooks: int = 300, tenants: int = 3) -> None:
    """Names that the name server answers for once, and then never again."""
    port = urlsplit(scene.endpoints.urls("quick", 1)[0]).port
    theirs = [
        await scene.tenant(
            [f"http://fading-{n}.tenant{number}.example:{port}/quick/" for n in range(webhooks)]
        )
        for number in range(tenants)
    ]
    for tenant in theirs:
        await scene.publish(tenant)
    await until(partial(scene.delivered, theirs, webhooks * tenants), every=0.1)
    await asyncio.sleep(MAX_IDLE_SECONDS)  # each needs a new connection from then on
    await scene.measure_alone()
    async with scene.attack():
        for _ in range(int(scene.attack_seconds * 0.8)):
            for tenant in theirs:
                await scene.publish(tenant)
            await asyncio.sleep(1.0)


async def dead_names(scene: Scene, *, webhooks: int = 300, events: int = 5) -> None:
    """Names that the name server never answers for."""
    tenant = await scene.tenant([f"http://dead-{n}.hooks.example/" for n in range(webhooks)])
    await scene.measure_alone()
    async with scene.attack():
        await scene.publish(tenant, count=events)


async def floods(scene: Scene, *, webhooks: int = 100, events: int = 20) -> None:
    """Endpoints whose responses never end: bodies, or interim responses."""
    with (
        hostile_process(FLOODS[0], address=FLOODERS_ADDRESS, niceness=NICENESS) as bodies,
        hostile_process(FLOODS[1], address=FLOODERS_ADDRESS, niceness=NICENESS) as interim,
    ):
        urls = [f"{(bodies, interim)[number % 2]}{number}" for number in range(webhooks)]
        tenant = await scene.tenant(urls)
        await scene.measure_alone()
        async with scene.attack():
            await scene.publish(tenant, count=events)


async def slow_certificates(
    scene: Scene, *, webhooks: int = 5, tenants: int = 20, events: int = 3
) -> None:
    """Webhooks of many tenants whose certificates take OpenSSL seconds to read."""
    with hostile_process(SLOW_CERTIFICATES, address=FLOODERS_ADDRESS, niceness=NICENESS) as url:
        urls = [f"{url.replace('http', 'https', 1)}{number}" for number in range(webhooks)]
        theirs = [await scene.tenant(urls) for _ in range(tenants)]
        await scene.measure_alone()
        async with scene.attack():
            for tenant in theirs:
                await scene.publish(tenant, count=events)


async def failing(scene: Scene, *, events: int = 20_000) -> None:
    """One endpoint that responds to everything with 500."""
    tenant = await scene.tenant(scene.endpoints.urls("error", 1))
    await scene.measure_alone()
    async with scene.attack():
        await scene.publish(tenant, count=events)
