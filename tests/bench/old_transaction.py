"""
A database in which a transaction stays open while rows come and go.

It is not kept open for an hour: what an hour does to the daemon is that no row which died in it can
be vacuumed. So the snapshot is taken first, then as many events are delivered as 55 a second are in
an hour, and live events are measured beside what these have left.
"""

import asyncpg

from tests.bench import seeds
from tests.bench.bench import Bench
from tests.bench.installation import installation
from tests.bench.publishing import publish
from tests.bench.sample import EVENT_DATA
from tests.bench.servers import Databases, Seed
from tests.bench.variants import Variant

KIND = "churn"
EVENTS_AT_ONCE = 10_000

TAKE_SNAPSHOT = "SELECT count(*), pg_current_xact_id() FROM webhook_deliveries"


async def held_database(bench: Bench, variant: Variant, seed: Seed) -> tuple[Databases, str]:
    """Return the database of a variant, which is made when it is first needed, and kept."""
    on = await bench.databases_apart()
    if variant.name not in bench.held:
        url = await bench.stack.enter_async_context(
            on.clone(variant, seed, seeded="old-transaction")
        )
        await _hold_transaction(bench, url)
        await _churn(bench, variant, on, url)
        bench.held[variant.name] = url
    return on, bench.held[variant.name]


async def _hold_transaction(bench: Bench, url: str) -> None:
    forgetful = await asyncpg.connect(url)
    bench.stack.callback(forgetful.terminate)
    await forgetful.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    await forgetful.execute(TAKE_SNAPSHOT)


async def _churn(bench: Bench, variant: Variant, on: Databases, url: str) -> None:
    """Deliver events."""
    async with installation(on.server, url, bench.receiver) as run:
        await bench.receiver.reset()
        db = await run.connect()
        tenants = await seeds.tenants_of(db, KIND)
        await run.start_daemons(variant, bench.folder)
        published = 0
        while published < bench.sizes.churn:
            events = min(EVENTS_AT_ONCE, bench.sizes.churn - published)
            await publish(db, tenants, events, data=EVENT_DATA)
            published += events
            within = bench.sizes.patience_seconds
            counts = await bench.receiver.wait(KIND, published, within=within)
            bench.check("events that came and went", counts.distinct, published)
            if counts.distinct < published:
                break
        await run.wait_recorded(db, within=bench.sizes.patience_seconds)
        await run.stop_daemons()
