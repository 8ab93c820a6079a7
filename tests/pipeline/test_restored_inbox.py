"""Events that came with a dump of another server are delivered, whatever numbers they have here."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest
from structlog.testing import capture_logs

from daemon.core.scheduling.inbox_scan import (
    EMPTY_SNAPSHOT,
    LAST_TENANT,
    InboxScan,
    Snapshot,
    XidRange,
)
from daemon.core.scheduling.inbox_turns import InboxKey
from daemon.pipeline import inbox_search
from daemon.store import event_inbox, restored_events
from tests.pipeline.test_inbox_leases import LEASING
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import inbox_is_empty, settled
from tests.support.receiver import Receiver

FUTURE = 2**40
# As a dump leaves them: each event has the number that its transaction had there.
RENUMBER = """
    WITH numbered AS MATERIALIZED (
        SELECT ctid AS row, ($1::bigint + row_number() OVER (ORDER BY event_id))::text::xid8 AS xid
          FROM webhook_event_inbox)
    UPDATE webhook_event_inbox AS i SET xid = n.xid FROM numbered AS n WHERE i.ctid = n.row
"""


@asynccontextmanager
async def running_transaction(database: str) -> AsyncIterator[tuple[asyncpg.Connection, int]]:
    """A transaction that has a number, and ends with its connection unless it is committed."""
    db = await asyncpg.connect(database)
    await db.execute("BEGIN")
    try:
        yield db, int(await db.fetchval("SELECT pg_current_xact_id()::text"))
    finally:
        await db.close()


async def test_events_with_numbers_of_another_server_are_delivered_beside_new_ones(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    restored = await app.events(tenant, 40)
    await app.db.execute(RENUMBER, FUTURE)
    async with running_transaction(database) as (other, _):
        running = await Application(other).event(tenant)
        with capture_logs() as logs:
            async with serving(database):
                await until(lambda: settled(app, webhook, "success", 40))
                new = await app.event(tenant)
                await until(lambda: settled(app, webhook, "success", 41))
                await other.execute("COMMIT")
                await until(lambda: settled(app, webhook, "success", 42))
                await until(lambda: inbox_is_empty(app))

    ids = [each.headers["webhook-id"] for each in receiver.received]
    assert sorted(ids) == sorted(f"evt_{each.hex}" for each in (*restored, new, running))
    found = [each for each in logs if each["event"] == "fanout.restored_events_found"]
    assert [(each["first_xid"], each["last_xid"]) for each in found] == [(FUTURE + 1, FUTURE + 40)]


async def test_what_is_restored_under_a_running_daemon_is_found_by_a_full_scan(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_search, "FULL_SCAN_SECONDS", 0.2)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving(database):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))
        async with app.db.transaction():
            await app.event(tenant)
            await app.db.execute(RENUMBER, FUTURE)
        await until(lambda: settled(app, webhook, "success", 2))


async def test_a_restored_event_whose_number_a_running_transaction_has_is_delivered(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    await app.event(tenant)
    async with running_transaction(database) as (other, xid):
        await app.db.execute(RENUMBER, xid - 1)
        late = await Application(other).event(tenant)
        async with serving(database):
            await until(lambda: settled(app, webhook, "success", 1))
            await other.execute("COMMIT")
            await until(lambda: settled(app, webhook, "success", 2))

    assert receiver.received[-1].headers["webhook-id"] == f"evt_{late.hex}"


async def test_a_restored_event_whose_number_a_rolled_back_transaction_had_is_found(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    event = await app.event(tenant)
    async with running_transaction(database) as (other, xid):
        await Application(other).events(tenant, 3)
        await other.execute("ROLLBACK")
    await app.db.execute(RENUMBER, xid - 1)
    rolled_back = XidRange(InboxKey(xid - 1, LAST_TENANT), last=xid)

    [(_, found)] = await event_inbox.find_places(app.db, [rolled_back], keys=9)

    assert rolled_back.is_single
    assert (found.key, found.events) == (InboxKey(xid, found.key.tenant_id), (event,))


async def test_a_number_that_this_server_has_not_reached_is_no_error_to_a_scan(
    app: Application,
) -> None:
    """After a failover to a standby that lacks the last transactions."""
    scan = InboxScan(keys_per_range=9)
    scan.completed(scan.ranges(now=0.0), [], Snapshot(FUTURE + 1, (FUTURE,)), now=0.0)
    await app.event(await app.tenant())
    found = await scanned(app, scan.ranges(now=0.0))
    scan.completed(scan.ranges(now=0.0), found.keys, found.snapshot, now=0.0)
    scan.begin_full_scan()

    assert found.keys == []
    assert len(await event_inbox.find_places(app.db, scan.next_aside(), keys=9)) == 1


@pytest.mark.parametrize("count", [3, event_inbox.MOST_CHANGES + 1])
async def test_changes_with_numbers_of_another_server_are_no_changes_to_each_scan(
    app: Application, count: int
) -> None:
    await app.db.execute(
        "INSERT INTO webhook_subscription_changes (xid, tenant_id, webhook_id)"
        " SELECT ($1::bigint + n)::text::xid8, gen_random_uuid(), gen_random_uuid()"
        "   FROM generate_series(1, $2::int) AS n",
        *(FUTURE, count),
    )
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, "http://127.0.0.1/")

    found = await scanned(app, InboxScan(keys_per_range=9).ranges(now=0.0))

    assert found.changed == [(tenant, webhook)]


async def scanned(app: Application, ranges: list[XidRange]) -> event_inbox.Scan:
    return await event_inbox.scan(
        *(app.db, ranges, LEASING),
        seen=EMPTY_SNAPSHOT,
        waiting=[],
        keys=9,
        limit=9,
        per_key=9,
    )


async def test_numbers_of_another_server_are_counted_and_this_server_s_are_not(
    app: Application,
) -> None:
    tenant = await app.tenant()
    await app.events(tenant, 3)
    before = (await restored_events.future_numbers(app.db), await restored_events.count(app.db))
    await app.db.execute(RENUMBER, FUTURE)
    await app.event(tenant)

    assert before == (None, 0)
    assert await restored_events.future_numbers(app.db) == (FUTURE + 1, FUTURE + 3)
    assert await restored_events.count(app.db) == 3
