"""What a transaction inserts costs the scans of the inbox nothing while it is running."""

from datetime import timedelta

import asyncpg
import orjson

from daemon.core.scheduling.inbox_scan import EMPTY_SNAPSHOT, InboxScan
from daemon.store import event_inbox
from daemon.store.columns import columns
from daemon.store.event_inbox import SCAN
from daemon.store.leased_events import Leasing
from daemon.store.session import prepare
from tests.support.application import Application

LEASING = Leasing(lease=timedelta(seconds=15), daemon_key=7, most_bytes=1000)
KEYS, LIMIT, PER_KEY = 100, 100, 32
MANY = 4000


async def scan(db: asyncpg.Connection, ranges: InboxScan) -> event_inbox.Scan:
    read = ranges.ranges()
    found = await event_inbox.scan(
        *(db, read, LEASING),
        seen=EMPTY_SNAPSHOT,
        waiting=[],
        keys=KEYS,
        limit=LIMIT,
        per_key=PER_KEY,
    )
    ranges.completed(read, found.keys, found.snapshot)
    return found


async def pages_read(db: asyncpg.Connection, found: event_inbox.Scan, ranges: InboxScan) -> int:
    """How many pages the next scan reads; the same page may count several times."""
    explained = await db.fetchval(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {SCAN}",
        *LEASING.arguments,
        *columns([(str(r.after.xid), r.after.tenant_id, str(r.last)) for r in ranges.ranges()]),
        *(KEYS, [], LIMIT, PER_KEY),
        *(str(found.snapshot.xmax), [str(xid) for xid in found.snapshot.running], 100),
    )
    plan = orjson.loads(explained)[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


async def test_events_and_changes_of_a_running_transaction_are_not_passed(
    app: Application, database: str
) -> None:
    await prepare(app.db)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, "http://127.0.0.1/")
    ranges = InboxScan(keys_per_range=KEYS)
    other = await asyncpg.connect(database)
    try:
        async with other.transaction():
            publisher = Application(other)
            await publisher.events(tenant, MANY)
            await other.execute(
                "INSERT INTO webhook_subscription_changes (tenant_id, webhook_id)"
                " SELECT $1, $2 FROM generate_series(1, $3::int)",
                *(tenant, webhook, MANY),
            )
            await app.db.execute("SELECT pg_current_xact_id()")  # a later one, which has ended
            found = await scan(app.db, ranges)
            pages = await pages_read(app.db, found, ranges)
            ranges.begin_full_scan()
            pages_of_all = await pages_read(app.db, found, ranges)
        committed = await scan(app.db, ranges)
    finally:
        await other.close()

    assert found.keys == []
    assert pages < MANY / 20
    assert pages_of_all < MANY / 20
    assert len(committed.leased.events) == PER_KEY
