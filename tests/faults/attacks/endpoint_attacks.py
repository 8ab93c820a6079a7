"""Attacks by endpoints: those that hang, flood or fail, and names that never resolve."""

from functools import partial

from tests.faults.attacks.endpoints import NICENESS
from tests.faults.attacks.scene import Scene
from tests.support.daemons import until
from tests.support.hostile_crowds import hostile_process

FLOODS = ("with endless bodies", "with endless interim responses")
FLOODERS_ADDRESS = "127.0.2.1"


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


async def failing(scene: Scene, *, events: int = 20_000) -> None:
    """One endpoint that responds to everything with 500."""
    tenant = await scene.tenant(scene.endpoints.urls("error", 1))
    await scene.measure_alone()
    async with scene.attack():
        await scene.publish(tenant, count=events)
