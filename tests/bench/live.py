"""Live events at a steady rate, alone and beside each scene; always after a warm-up."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID

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
    scene, sizes = SCENES[name], bench.sizes
    async with _database(bench, variant, name) as (on, url), AsyncExitStack() as stack:
        run = await stack.enter_async_context(installation(on.server, url, bench.receiver))
        await bench.receiver.reset()
        live = Live(bench, variant, run, url, await run.connect(), stack)
        tenants = await seeds.tenants_of(live.db, KIND)
        recorded = await live.db.fetchval(RECORDED, tenants)
        await scene.prepare(live)
        await run.start_daemons(variant, bench.folder, settings=scene.settings)
        connections = [await run.connect() for _ in range(CONNECTIONS)]
        await SteadyLoad(connections, tenants, PER_SECOND, EVENT_DATA).run(sizes.live_warm_up)
        await bench.receiver.wait(KIND, sizes.live_warm_up, within=ARRIVAL_SECONDS)
        await scene.begin(live)
        load = SteadyLoad(connections, tenants, PER_SECOND, EVENT_DATA)
        await load.run(sizes.live_events)
        events = sizes.live_warm_up + sizes.live_events
        arrived = await bench.receiver.wait(KIND, events, within=ARRIVAL_SECONDS)
        figures = await _figures(bench, scene, load.committed)
        for visitor in live.visitors:
            figures |= visitor.figures()
            bench.check("pages that failed", len(visitor.failed), 0)
        await _check_rows(live, tenants, recorded + arrived.distinct)
        return figures | {"rss_mb": run.peak_rss_mb()}


async def _check_rows(live: Live, tenants: Sequence[UUID], expected: int) -> None:
    """Check that what the live endpoints received is recorded, with what was before."""
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while (rows := await live.db.fetchval(RECORDED, tenants)) < expected:
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.05)
    live.bench.check("rows of live events", rows, expected)


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
