"""Live events at a steady rate, alone and beside each scene; always after a warm-up."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from tests.bench import seeds
from tests.bench.bench import Bench, Figures
from tests.bench.installation import installation
from tests.bench.old_transaction import held_database
from tests.bench.paced import delays_ms, latency
from tests.bench.publishing import SteadyLoad
from tests.bench.sample import EVENT_DATA
from tests.bench.scenes import SCENES, Live, Scene
from tests.bench.servers import Databases
from tests.bench.variants import Variant

PER_SECOND = 100.0
CONNECTIONS = 4
KIND = "live"
ARRIVAL_SECONDS = 30.0

RECORDED = """
    SELECT count(*)
      FROM webhook_deliveries
     WHERE status = 'success'
       AND webhook_id IN (SELECT id FROM webhooks WHERE tenant_id = ANY ($1::uuid[]))
"""


async def live_events(bench: Bench, variant: Variant, name: str) -> Figures:
    """Measure live events beside a scene."""
    scene = SCENES[name]
    async with _database(bench, variant, name) as (on, url), AsyncExitStack() as stack:
        run = await stack.enter_async_context(installation(on.server, url, bench.receiver))
        await bench.receiver.reset()
        db = await run.connect()
        live = Live(bench, variant, run, url, db, stack)
        tenants = await seeds.tenants_of(db, KIND)
        connections = [await run.connect() for _ in range(CONNECTIONS)]
        recorded_before = await db.fetchval(RECORDED, tenants)
        await scene.prepare(live)
        await run.start_daemons(variant, bench.folder)
        warm_up = SteadyLoad(connections, tenants, PER_SECOND, EVENT_DATA)
        await warm_up.run(bench.sizes.live_warm_up)
        await bench.receiver.wait(KIND, len(warm_up.committed), within=ARRIVAL_SECONDS)
        await scene.begin(live)
        load = SteadyLoad(connections, tenants, PER_SECOND, EVENT_DATA)
        await load.run(bench.sizes.live_events)
        expected = len(warm_up.committed) + len(load.committed)
        arrived = await bench.receiver.wait(KIND, expected, within=ARRIVAL_SECONDS)
        figures = await _figures(bench, scene, load.committed)

        async def recorded() -> int:
            now: int = await db.fetchval(RECORDED, tenants)
            return now - int(recorded_before)

        await _wait_until(recorded, arrived.distinct)
        bench.check("rows of live events", await recorded(), arrived.distinct)
        return figures | {"rss_mb": run.peak_rss_mb()}


async def _wait_until(count: Callable[[], Awaitable[int]], least: int) -> None:
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while await count() < least and time.monotonic() < deadline:
        await asyncio.sleep(0.05)


async def _figures(bench: Bench, scene: Scene, committed: dict[str, float]) -> Figures:
    arrived = await bench.receiver.arrivals(KIND)
    beside = committed
    for kind in scene.kinds:
        counts = await bench.receiver.counts(kind)
        bench.check(f"whether there were {kind} requests", counts.requests > 0, True)
        if scene.backlog is not None and counts.distinct >= scene.backlog(bench.sizes):
            beside = {event: at for event, at in committed.items() if at <= counts.last_at}
    live = await bench.receiver.counts(KIND)
    return latency(delays_ms(beside or committed, arrived)) | {
        "beside_events": len(beside),
        "missing": len(committed.keys() - arrived.keys()),
        "duplicates": live.requests - live.distinct,
    }


@asynccontextmanager
async def _database(
    bench: Bench, variant: Variant, name: str
) -> AsyncIterator[tuple[Databases, str]]:
    scene = SCENES[name]
    if scene.holds_transaction:
        yield await held_database(bench, variant, scene.seed(bench))
        return
    async with bench.databases.clone(variant, scene.seed(bench), seeded=name) as url:
        yield bench.databases, url
