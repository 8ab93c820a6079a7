"""
Throughput: events committed at once, from their commit until every delivery is recorded.

What the publisher's transaction costs by itself is measured with the daemon stopped, and statements
are counted in a pass of their own, because counting takes time.
"""

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from tests.bench.bare import CONCURRENCY
from tests.bench.bench import Bench, Figures
from tests.bench.installation import Installation, Window, add_webhooks, installation
from tests.bench.publishing import publish
from tests.bench.sample import EVENT_DATA, LARGE_EVENT_DATA
from tests.bench.servers import Databases
from tests.bench.sizes import Sizes
from tests.bench.variants import ROOT, Variant, output_of

TENANTS = 50
KIND = "quick"
NAMED_STATEMENTS = 12

DELIVERED = "SELECT count(*) FROM webhook_deliveries WHERE status = 'success'"
REPEATED = "SELECT count(*) FROM webhook_deliveries WHERE attempt_number > 1"
ROW_VERSIONS = """
    -- Of the table, or of all its partitions.
    SELECT sum(n_tup_ins + n_tup_upd)::bigint
      FROM pg_stat_user_tables
     WHERE relid = 'webhook_deliveries'::regclass
        OR relid IN (SELECT relid FROM pg_partition_tree('webhook_deliveries'))
"""
COUNT_STATEMENTS = """
    DO $$ BEGIN
        EXECUTE format('ALTER DATABASE %I SET pg_stat_statements.track = top', current_database());
    END $$
"""
COUNTED_STATEMENTS = """
    SELECT calls, regexp_replace(query, '\\s+', ' ', 'g') AS query
      FROM pg_stat_statements JOIN pg_database ON pg_database.oid = dbid
     WHERE datname = current_database()
     ORDER BY calls DESC
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """
    A load: how many webhooks get each event, its data, how many daemons there are.

    With `bursts`, each tenant's events are committed together, one tenant after another.
    """

    webhooks: int = 1
    data: str = EVENT_DATA
    tls: bool = False
    bursts: bool = False
    daemons: int = 1
    large: bool = False

    def events(self, sizes: Sizes) -> int:
        """Return the number of events to measure."""
        return sizes.large_events if self.large else sizes.events // self.webhooks

    def warm_up(self, sizes: Sizes) -> int:
        """Return the number of events before that, for connections, plans and caches."""
        return sizes.warm_up // self.webhooks


PLAIN = Shape()
TLS = Shape(tls=True)
FAN_OUT = Shape(webhooks=10)
LARGE = Shape(data=LARGE_EVENT_DATA, large=True)
BURSTS = Shape(bursts=True)


async def bare(bench: Bench, kind: str, *, tls: bool = False, per_second: int = 0) -> Figures:
    """Measure a process that only sends, `aiohttp` or `sender`; at a pace, if one is given."""
    await bench.receiver.reset()
    sizes, url = bench.sizes, bench.receiver.tls_url if tls else bench.receiver.url
    count = round(per_second * sizes.publisher_seconds) if per_second else sizes.events
    authority = bench.folder / "authority.pem"
    authority.write_text(bench.receiver.authority)
    arguments = (kind, f"{url}/{KIND}/0", str(count), str(per_second))
    command = [sys.executable, "-m", "tests.bench.bare", *arguments]
    environment = os.environ | {"SSL_CERT_FILE": str(authority)}
    async with asyncio.timeout(bench.sizes.patience_seconds):
        run = json.loads(await output_of(command, cwd=ROOT, environment=environment))
    received = (await bench.receiver.counts(KIND)).requests
    bench.check(f"requests of the bare {kind} loop", received, count + CONCURRENCY)
    cpu_us = run["cpu"] / count * 1e6
    if per_second:
        return {"request_ms": run["median_ms"], "daemon_us": cpu_us}
    return {"rate": count / run["seconds"], "daemon_us": cpu_us}


async def delivered(bench: Bench, variant: Variant, shape: Shape, on: Databases) -> Figures:
    """Measure one round."""
    events, warm_up = shape.events(bench.sizes), shape.warm_up(bench.sizes)
    async with on.clone(variant) as url, installation(on.server, url, bench.receiver) as run:
        load = await Load.prepared(bench, run, shape)
        await run.start_daemons(variant, bench.folder, count=shape.daemons)
        await load.deliver(warm_up)
        before = await run.sample(load.db)
        committed = await load.deliver(events)
        after = await run.sample(load.db)
        deliveries = events * shape.webhooks
        figures = per_delivery(run.window(before, after), deliveries) | {
            "rate": deliveries / (after.at - committed),
            "rss_mb": run.peak_rss_mb(),
        }
        await run.stop_daemons()
        return figures | await load.recorded(warm_up * shape.webhooks + deliveries)


def per_delivery(window: Window, deliveries: int) -> Figures:
    """Return what one delivery took in a window."""
    return {
        "daemon_us": window.daemon_cpu / deliveries * 1e6,
        "postgres_us": window.postgres_cpu / deliveries * 1e6,
        "cpu_us": (window.daemon_cpu + window.postgres_cpu) / deliveries * 1e6,
        "publisher_us": window.publisher_cpu / deliveries * 1e6,
        "receiver_us": window.receiver_cpu / deliveries * 1e6,
        "wal_bytes": window.wal_bytes / deliveries,
    }


async def publishers_share(bench: Bench, variant: Variant, shape: Shape, on: Databases) -> Figures:
    """Publish while no daemon runs, without the trigger and then with it; for one delivery."""
    events = shape.events(bench.sizes)
    async with on.clone(variant) as url, installation(on.server, url, bench.receiver) as run:
        load = await Load.prepared(bench, run, shape)
        windows = []
        for action in ("DISABLE", "ENABLE"):
            await load.db.execute(f"ALTER TABLE webhook_events {action} TRIGGER USER")
            before = await run.sample(load.db)
            await load.publish(events)
            windows.append(run.window(before, await run.sample(load.db)))
    without, whole = [per_delivery(each, events * shape.webhooks) for each in windows]
    return {
        "publisher_wal_bytes": whole["wal_bytes"],
        "trigger_wal_bytes": whole["wal_bytes"] - without["wal_bytes"],
    }


async def statements(bench: Bench, variant: Variant, shape: Shape, on: Databases) -> Figures:
    """Count the daemons' statements: BEGIN and COMMIT too, those of the publisher not."""
    if not on.server.counts_statements:
        return {}
    events = shape.events(bench.sizes)
    async with on.clone(variant) as url, installation(on.server, url, bench.receiver) as run:
        load = await Load.prepared(bench, run, shape)
        await load.db.execute(COUNT_STATEMENTS)
        await run.start_daemons(variant, bench.folder, count=shape.daemons)
        await load.deliver(shape.warm_up(bench.sizes))
        await load.db.execute("SELECT pg_stat_statements_reset()")
        await load.deliver(events)
        counted = await load.db.fetch(COUNTED_STATEMENTS)
    bench.statements[bench.step] = {
        row["query"][:120]: row["calls"] / events for row in counted[:NAMED_STATEMENTS]
    }
    total = sum(row["calls"] for row in counted)
    return {"statements": total / events / shape.webhooks, "statements_event": total / events}


class Load:
    """A shape's tenants, and the events that are published for them."""

    def __init__(
        self,
        bench: Bench,
        run: Installation,
        shape: Shape,
        *,
        db: asyncpg.Connection,
        tenants: Sequence[UUID],
    ) -> None:
        self.db = db
        self._bench = bench
        self._run = run
        self._shape = shape
        self._tenants = tenants

    @classmethod
    async def prepared(cls, bench: Bench, run: Installation, shape: Shape) -> "Load":
        """Add the shape's webhooks; the receiver forgets everything before."""
        await bench.receiver.reset()
        db = await run.connect()
        url = bench.receiver.tls_url if shape.tls else bench.receiver.url
        tenants = await add_webhooks(db, f"{url}/{KIND}", tenants=TENANTS, webhooks=shape.webhooks)
        return cls(bench, run, shape, db=db, tenants=tenants)

    async def publish(self, events: int) -> float:
        """Publish events; return the time of the first commit."""
        shape = self._shape
        return await publish(self.db, self._tenants, events, data=shape.data, bursts=shape.bursts)

    async def deliver(self, events: int) -> float:
        """
        Publish events, and wait until all deliveries are recorded.

        Returns the time of the first commit.
        """
        sizes, receiver = self._bench.sizes, self._bench.receiver
        expected = (await receiver.counts(KIND)).distinct + events * self._shape.webhooks
        committed = await self.publish(events)
        counts = await receiver.wait(KIND, expected, within=sizes.patience_seconds)
        self._bench.check("deliveries received in time", counts.distinct, expected)
        recorded = await self._run.wait_recorded(self.db, within=sizes.patience_seconds)
        self._bench.check("everything recorded in time", recorded, True)
        return committed

    async def recorded(self, deliveries: int) -> Figures:
        """Check that all deliveries are recorded; return what their rows took, and duplicates."""
        counts = await self._bench.receiver.counts(KIND)
        self._bench.check("rows of deliveries", await self.db.fetchval(DELIVERED), deliveries)
        return {
            "duplicates": counts.requests - counts.distinct,
            "repeated": await self.db.fetchval(REPEATED),
            "row_versions": await self.db.fetchval(ROW_VERSIONS) / deliveries,
        }
