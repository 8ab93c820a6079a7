"""What long transactions insert costs the scans of the inbox nothing, however they end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import asyncpg
import orjson
import pytest

from daemon.core.model.ids import TenantId
from daemon.core.scheduling.inbox_scan import (
    EMPTY_SNAPSHOT,
    LAST_TENANT,
    LONG_SECONDS,
    InboxScan,
    XidRange,
)
from daemon.core.scheduling.inbox_turns import (
    Continuation,
    FoundEvents,
    InboxKey,
    InboxTurn,
    InboxTurns,
)
from daemon.store import event_inbox, leased_events
from daemon.store.columns import columns
from daemon.store.event_inbox import SCAN
from daemon.store.leased_events import LEASE_TURNS, Leasing
from daemon.store.session import prepare
from tests.support import postgres
from tests.support.application import Application

LEASING = Leasing(lease=timedelta(seconds=15), daemon_key=7, most_bytes=1000)
KEYS, LIMIT, PER_KEY = 100, 100, 32
MANY = 4000


@asynccontextmanager
async def connected(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database)
    try:
        yield connection
    finally:
        await connection.close()


async def scan(
    db: asyncpg.Connection, ranges: InboxScan, *, now: float = 0.0, limit: int = LIMIT
) -> event_inbox.Scan:
    read = ranges.ranges(now=now)
    found = await event_inbox.scan(
        *(db, read, LEASING),
        seen=EMPTY_SNAPSHOT,
        waiting=[],
        keys=KEYS,
        limit=limit,
        per_key=PER_KEY,
    )
    ranges.completed(read, found.keys, found.snapshot, now=now)
    return found


async def pages_read(db: asyncpg.Connection, found: event_inbox.Scan, ranges: InboxScan) -> int:
    """How many pages the next scan reads; the same page may count several times."""
    explained = await db.fetchval(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {SCAN}",
        *LEASING.arguments,
        *columns(
            [(str(r.after.xid), r.after.tenant_id, str(r.last)) for r in ranges.ranges(now=0.0)]
        ),
        *(KEYS, [], LIMIT, PER_KEY),
        *(str(found.snapshot.xmax), [str(xid) for xid in found.snapshot.running], 100),
        [each.is_single for each in ranges.ranges(now=0.0)],
        [],
    )
    plan = orjson.loads(explained)[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


@pytest.mark.parametrize("later", [True, False])
async def test_events_and_changes_of_a_running_transaction_are_not_passed(
    app: Application, database: str, *, later: bool
) -> None:
    """Whether or not the scan before knew that it was running: if a `later` one had ended."""
    await prepare(app.db)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, "http://127.0.0.1/")
    ranges = InboxScan(keys_per_range=KEYS)
    async with connected(database) as other:
        async with other.transaction():
            publisher = Application(other)
            await publisher.events(tenant, MANY)
            await other.execute(
                "INSERT INTO webhook_subscription_changes (tenant_id, webhook_id)"
                " SELECT $1, $2 FROM generate_series(1, $3::int)",
                *(tenant, webhook, MANY),
            )
            if later:
                await app.db.execute("SELECT pg_current_xact_id()")
            found = await scan(app.db, ranges)
            await app.event(tenant)
            pages = await pages_read(app.db, found, ranges)
        committed = await scan(app.db, ranges)

    assert found.keys == []
    assert pages < MANY / 20
    assert len(committed.leased.events) == PER_KEY


@pytest.mark.parametrize("with_savepoint", [False, True])
async def test_what_a_transaction_rolled_back_is_not_passed(
    app: Application, database: str, *, with_savepoint: bool
) -> None:
    await prepare(app.db)
    await app.db.execute("ALTER TABLE webhook_event_inbox SET (autovacuum_enabled = false)")
    tenant = await app.tenant()
    await app.webhook(tenant, "http://127.0.0.1/")
    ranges = InboxScan(keys_per_range=KEYS)
    async with connected(database) as other:
        await other.execute("BEGIN; SELECT pg_current_xact_id(); SAVEPOINT before")
        await Application(other).events(tenant, MANY)
        await app.db.execute("SELECT pg_current_xact_id()")  # a later one, which has ended
        await scan(app.db, ranges, now=0.0)
        await other.execute("ROLLBACK TO before; COMMIT" if with_savepoint else "ROLLBACK")
    event = await app.event(tenant)

    after = LONG_SECONDS if with_savepoint else 0.0
    pages = await pages_read(app.db, await scan(app.db, ranges, now=after, limit=0), ranges)
    found = await scan(app.db, ranges, now=after)

    assert pages < MANY / 20
    assert {each.event.id for each in found.leased.events} <= {event}
    assert ranges.waits_aside is with_savepoint


async def test_a_search_aside_finds_what_is_there_and_passes_what_was_rolled_back_once(
    app: Application, database: str
) -> None:
    tenants = [await app.tenant() for _ in range(3)]
    for tenant in tenants:
        await app.events(tenant, 2)
    async with connected(database) as other:
        await other.execute("BEGIN")
        await Application(other).events(tenants[0], MANY)
        xid = int(await other.fetchval("SELECT pg_current_xact_id()::text"))
        await other.execute("ROLLBACK")
    everything = XidRange(InboxKey(0, LAST_TENANT))
    rolled_back = XidRange(InboxKey(xid - 1, LAST_TENANT), last=xid)

    [*_, (_, last)] = first = await event_inbox.find_places(app.db, [everything], keys=2)
    rest = await event_inbox.find_places(
        app.db, [rolled_back, replace(everything, after=last.key)], keys=9
    )
    explained = await app.db.fetchval(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {event_inbox.FIND_PLACES}",
        *([str(xid - 1)], [LAST_TENANT], [str(xid)], 100, 32),
    )

    assert [number for number, _ in first + rest] == [0, 0, 1]
    assert {found.key.tenant_id for _, found in first + rest} == set(tenants)
    assert [(len(found.events), found.more) for _, found in first + rest] == [(2, False)] * 3
    plan = orjson.loads(explained)[0]["Plan"]
    # Pages of the index, in which the dead rows are marked: the rows themselves are not read.
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < MANY / 20


@pytest.mark.parametrize("how", ["rolled back", "taken"])
async def test_dead_rows_between_events_that_were_found_are_not_passed_by_their_turn(
    app: Application, database: str, how: str
) -> None:
    """Beside an old snapshot, which keeps the rows that were taken."""
    await prepare(app.db)
    await app.db.execute("ALTER TABLE webhook_event_inbox SET (autovacuum_enabled = false)")
    tenant = TenantId(await app.tenant())
    async with connected(database) as old, connected(database) as other:
        await old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM webhooks")
        await other.execute("BEGIN; SELECT pg_current_xact_id(); SAVEPOINT before")
        dead = await Application(other).events(tenant, MANY)
        if how == "rolled back":
            await other.execute("ROLLBACK TO before")
        events = await Application(other).events(tenant, 3)
        await other.execute("COMMIT")
        if how == "taken":
            await app.db.execute(
                "DELETE FROM webhook_event_inbox WHERE event_id = ANY ($1::uuid[])", dead
            )
        everything = XidRange(InboxKey(0, LAST_TENANT))
        [(_, found)] = await event_inbox.find_places(app.db, [everything], keys=9)
        pages = await postgres.pages_read(app.db, LEASE_TURNS, *turn_arguments(found))
        turn = InboxTurn(found.key, found.events[0], 3, found.events)
        leased = await leased_events.lease_turns(app.db, [turn], LEASING)

    assert (sorted(found.events), found.more) == (sorted(events), False)
    assert pages < 100
    assert {each.event.id for each in leased.events} == set(events)


@pytest.mark.parametrize("how", ["leased", "locked"])
async def test_dead_rows_before_an_event_that_another_holds_are_not_passed_by_a_turn(
    app: Application, database: str, how: str
) -> None:
    """However often a full search finds the place: its own statement passes them."""
    await prepare(app.db)
    await app.db.execute("ALTER TABLE webhook_event_inbox SET (autovacuum_enabled = false)")
    tenant = TenantId(await app.tenant())
    async with connected(database) as old, connected(database) as other:
        await old.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM webhooks")
        *dead, last = sorted(await app.events(tenant, MANY))
        await app.db.execute(
            "DELETE FROM webhook_event_inbox WHERE event_id = ANY ($1::uuid[])", dead
        )
        if how == "leased":
            await app.db.execute("UPDATE webhook_event_inbox SET leased_until = now() + '1 hour'")
        else:
            await other.execute("BEGIN; SELECT FROM webhook_event_inbox FOR UPDATE")
        turns = InboxTurns()
        named = []
        for _ in range(2):
            [(_, found)] = await event_inbox.find_places(
                app.db, [XidRange(InboxKey(0, LAST_TENANT))], keys=9
            )
            turns.add_found(found, now=0.0)
            for turn in turns.next_turns(limit=50):
                named.append(turn.events)
                pages = await postgres.pages_read(app.db, LEASE_TURNS, *turn_arguments(found))
                turns.took(turn, [], now=0.0)
                assert pages < 100

    assert named == ([] if how == "leased" else [(last,), (last,)])
    assert not turns.has_continuations


def turn_arguments(found: FoundEvents) -> list[object]:
    xid, count = str(found.key.xid), len(found.events)
    keys = ([xid] * count, [found.key.tenant_id] * count, list(found.events))
    return [*LEASING.arguments, *([], [], [], []), *keys, []]


async def test_more_events_at_a_place_are_found_from_the_last_one_on(app: Application) -> None:
    await prepare(app.db)
    events = sorted(await app.events(await app.tenant(), 700))
    everything = XidRange(InboxKey(0, LAST_TENANT))

    [(_, first)] = await event_inbox.find_places(app.db, [everything], keys=9)
    second = await event_inbox.find_events(app.db, Continuation(first.key, first.events[-1]))
    third = await event_inbox.find_events(app.db, Continuation(first.key, second.events[-1]))

    assert list(first.events) == events[: len(first.events)]
    assert sorted({*first.events, *second.events, *third.events}) == events
    assert (first.more, second.more, third.more) == (True, True, False)
