"""Steady loads of single events, and no load at all: latency, and what low rates cost."""

import asyncio
import math
from collections.abc import Sequence

from tests.bench.bench import Bench, Figures
from tests.bench.installation import Installation, Window, add_webhooks, installation
from tests.bench.publishing import SteadyLoad
from tests.bench.sample import EVENT_DATA
from tests.bench.servers import Databases
from tests.bench.throughput import COUNT_STATEMENTS, COUNTED_STATEMENTS, DELIVERED, per_delivery
from tests.bench.variants import Variant

TENANTS = 50
KIND = "quick"
# Enough for commits that wait for the disk.
CONNECTIONS = 8


async def paced(bench: Bench, variant: Variant, per_second: int, on: Databases) -> Figures:
    """Measure a steady load: a warm-up, then a window of it while it goes on."""
    sizes = bench.sizes
    async with on.clone(variant) as url, installation(on.server, url, bench.receiver) as run:
        load = await steady_load(bench, run, per_second)
        await run.start_daemons(variant, bench.folder)
        window, received = await measured_window(bench, run, load, sizes.paced_seconds)
        counts = await bench.receiver.wait(KIND, len(load.committed), within=sizes.patience_seconds)
        bench.check("deliveries received in time", counts.distinct, len(load.committed))
        db = load.connections[0]
        recorded = await run.wait_recorded(db, within=sizes.patience_seconds)
        bench.check("everything recorded in time", recorded, True)
        bench.check("rows of deliveries", await db.fetchval(DELIVERED), len(load.committed))
        waits_ms = delays_ms(load.committed, await bench.receiver.arrivals(KIND))
        # The first ones met connections that were not open yet.
        steady = waits_ms[int(sizes.paced_warm_up_seconds * per_second) :]
        return (
            per_received(window, received)
            | latency(steady)
            | {
                "duplicates": counts.requests - counts.distinct,
                "rss_mb": run.peak_rss_mb(),
            }
        )


async def publisher_alone(
    bench: Bench, variant: Variant, per_second: int, on: Databases
) -> Figures:
    """Measure the same load while no daemon runs; the figures are for one event."""
    async with on.clone(variant) as url, installation(on.server, url, bench.receiver) as run:
        load = await steady_load(bench, run, per_second)
        seconds = bench.sizes.publisher_seconds
        window, published = await measured_window(bench, run, load, seconds)
        return per_received(window, published)


async def idle(bench: Bench, variant: Variant, on: Databases) -> Figures:
    """Measure a daemon with nothing to do, after it had some."""
    sizes = bench.sizes
    async with on.clone(variant) as url, installation(on.server, url, bench.receiver) as run:
        load = await steady_load(bench, run, per_second=100)
        db = load.connections[0]
        if on.server.counts_statements:
            await db.execute(COUNT_STATEMENTS)
        await run.start_daemons(variant, bench.folder)
        await load.run(TENANTS)
        await bench.receiver.wait(KIND, TENANTS, within=sizes.patience_seconds)
        await run.wait_recorded(db, within=sizes.patience_seconds)
        await asyncio.sleep(sizes.idle_after_seconds)
        figures: Figures = {}
        if on.server.counts_statements:
            await db.execute("SELECT pg_stat_statements_reset()")
        before = await run.sample(db)
        await asyncio.sleep(sizes.idle_seconds)
        window = run.window(before, await run.sample(db))
        if on.server.counts_statements:
            counted = await db.fetch(COUNTED_STATEMENTS)
            bench.statements[bench.step] = {
                row["query"][:120]: row["calls"] / window.seconds for row in counted
            }
            figures["statements_s"] = sum(row["calls"] for row in counted) / window.seconds
        return figures | {
            "daemon_percent": window.daemon_cpu / window.seconds * 100,
            "postgres_percent": window.postgres_cpu / window.seconds * 100,
            "wal_bytes_s": window.wal_bytes / window.seconds,
        }


async def steady_load(bench: Bench, run: Installation, per_second: float) -> SteadyLoad:
    """Add the tenants of a steady load; the receiver forgets everything before."""
    await bench.receiver.reset()
    connections = [await run.connect() for _ in range(CONNECTIONS)]
    tenants = await add_webhooks(connections[0], f"{bench.receiver.url}/{KIND}", tenants=TENANTS)
    return SteadyLoad(connections, tenants, per_second, EVENT_DATA)


async def measured_window(
    bench: Bench, run: Installation, load: SteadyLoad, seconds: float
) -> tuple[Window, int]:
    """
    Publish for a warm-up, `seconds` and a little longer; return the window of `seconds`.

    The number is that of the receipts in it, or of the commits if no daemon runs.
    """
    warm_up = bench.sizes.paced_warm_up_seconds
    # Not one of the load's: those are busy.
    db = await run.connect()
    total = round((warm_up + seconds + 0.5) * load.per_second)
    publishing = asyncio.create_task(load.run(total))

    async def done() -> int:
        return (await bench.receiver.counts(KIND)).distinct if run.daemons else len(load.committed)

    await asyncio.sleep(warm_up)
    before, done_before = await run.sample(db), await done()
    await asyncio.sleep(seconds)
    after, done_after = await run.sample(db), await done()
    await publishing
    return run.window(before, after), done_after - done_before


def per_received(window: Window, deliveries: int) -> Figures:
    """Return what one delivery took in a window of a steady load."""
    if not deliveries:
        return {}
    return per_delivery(window, deliveries) | {
        "rate": deliveries / window.seconds,
        "transactions": window.transactions / deliveries,
        "fsyncs": window.wal_syncs / deliveries,
    }


def delays_ms(committed: dict[str, float], arrived: dict[str, float]) -> list[float]:
    """Return the times from commit to receipt in the order of the commits; infinite if missing."""
    return [
        max(0.0, arrived.get(event, math.inf) - at) * 1000
        for event, at in sorted(committed.items(), key=lambda item: item[1])
    ]


def latency(waits_ms: Sequence[float]) -> Figures:
    """Return median, 99th percentile and maximum."""
    ordered = sorted(waits_ms)
    return {"p50_ms": at(ordered, 0.5), "p99_ms": at(ordered, 0.99), "worst_ms": ordered[-1]}


def at(ordered: Sequence[float], share: float) -> float:
    """Return the value that this share of the sorted values does not exceed."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
