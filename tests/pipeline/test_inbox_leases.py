"""Leases on inbox rows: no event is lost or doubled if a daemon dies while it is fanned out."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from daemon.core.errors import STATEMENT_FAILURES
from daemon.core.model.ids import WebhookId
from daemon.core.scheduling.inbox_scan import EMPTY_SNAPSHOT, InboxScan
from daemon.core.scheduling.lanes import Lanes
from daemon.pipeline import fanout, inbox_reader, inbox_search, tenant_fanout
from daemon.pipeline.delivery_inserter import DeliveryInserter, MatchedEvent
from daemon.pipeline.lane_waker import LaneWaker
from daemon.pipeline.subscription_cache import SubscriptionCache
from daemon.pipeline.tenant_fanout import TenantFanout
from daemon.runtime.metrics import Metrics
from daemon.runtime.offload import Offload
from daemon.store import event_inbox, inbox_leases, plain_results, unwanted_events
from daemon.store.database import Database
from daemon.store.deliveries import Inserted
from daemon.store.event_inbox import SCAN
from daemon.store.leased_events import LEASE_TURNS, LeasedEvent, Leasing
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import settled
from tests.support.postgres import most_rows_read
from tests.support.receiver import Receiver
from tests.support.results import attempt_result

LEASING = Leasing(lease=timedelta(seconds=15), daemon_key=7, most_bytes=8_000_000)
COUNT_INBOX = "SELECT count(*) FROM webhook_event_inbox"


@pytest.fixture
async def db(database: str) -> AsyncIterator[Database]:
    opened = Database(database, size=4)
    await opened.open()
    yield opened
    await opened.close(within=timedelta(seconds=1))


async def scan_keys(db: Database) -> list[tuple[int, UUID]]:
    """The places that a scan finds: numbers of transactions, and tenants."""
    ranges = InboxScan(keys_per_range=100).ranges(now=0.0)
    async with db.connection() as connection:
        found = await event_inbox.scan(
            *(connection, ranges, LEASING),
            seen=EMPTY_SNAPSHOT,
            waiting=[],
            keys=100,
            limit=1,
            per_key=1,
        )
    return [(key.xid, key.tenant_id) for _, key in found.keys]


async def lease(db: Database, *, key: int = 7, limit: int = 500) -> list[LeasedEvent]:
    """Lease what a daemon that knows nothing yet finds first."""
    scan = InboxScan(keys_per_range=100)
    async with db.connection() as connection:
        found = await event_inbox.scan(
            connection,
            scan.ranges(now=0.0),
            replace(LEASING, daemon_key=key),
            seen=EMPTY_SNAPSHOT,
            waiting=[],
            keys=100,
            limit=limit,
            per_key=limit,
        )
    return found.leased.events


def inserter(db: Database, *, key: int = 7) -> DeliveryInserter:
    waker = LaneWaker(Lanes(slots=10, widest=10))
    return DeliveryInserter(db, waker, leasing=replace(LEASING, daemon_key=key), metrics=Metrics())


async def test_leased_events_are_not_leased_again(app: Application, db: Database) -> None:
    tenant = await app.tenant()
    await app.webhook(tenant, "http://127.0.0.1/")
    await app.events(tenant, 5)

    assert len(await lease(db, key=7)) == 5
    assert await lease(db, key=8) == []


async def test_a_daemon_that_lost_its_lease_inserts_nothing(app: Application, db: Database) -> None:
    tenant = await app.tenant()
    webhook = WebhookId(await app.webhook(tenant, "http://127.0.0.1/"))
    await app.events(tenant, 3)
    stale = await lease(db, key=7)
    await app.db.execute("UPDATE webhook_event_inbox SET leased_until = now() - interval '1 s'")
    fresh = await lease(db, key=8)

    for leased, key in ((stale, 7), (fresh, 8)):
        await inserter(db, key=key).insert([MatchedEvent(e, [webhook], 10) for e in leased])

    assert len(fresh) == 3
    assert len(await app.deliveries(webhook)) == 3
    assert await app.db.fetchval(COUNT_INBOX) == 0


async def test_an_erased_row_whose_place_another_event_has_leaves_that_event_alone(
    app: Application, db: Database
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, "http://127.0.0.1/")
    await app.events(tenant, 2)
    gone, other = await lease(db)
    await app.db.execute("DELETE FROM webhook_event_inbox WHERE event_id = $1", gone.event.id)
    stale = replace(gone, row=other.row)  # as if the other row had been inserted afterwards
    result = attempt_result(200, webhook=webhook)
    result = replace(result, claim=replace(result.claim, event_id=gone.event.id))

    async with db.transaction() as connection:
        stored = await plain_results.store_plain(
            connection, [(result, stale)], daemon_key=7, succeeded=()
        )
        locked = await inbox_leases.lock(connection, [stale], daemon_key=7)
        prolonged = await inbox_leases.prolong(
            connection, [stale], daemon_key=7, lease=timedelta(hours=1)
        )
        await inbox_leases.release(connection, [stale], daemon_key=7)

    assert (stored, prolonged) == ({}, [])
    assert (locked.ours, locked.held) == ([], [])
    rows = await app.db.fetch("SELECT event_id, leased_until FROM webhook_event_inbox")
    assert [tuple(row) for row in rows] == [(other.event.id, other.leased_until)]


async def test_the_leases_of_a_dead_daemon_are_freed_and_those_of_a_living_one_are_not(
    app: Application, db: Database, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    await app.events(tenant, 2)
    assert len(await lease(db, key=123)) == 2
    await app.db.execute("SELECT pg_advisory_lock(123)")  # a daemon that lives
    async with serving(database):
        event = await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))
        assert [row["event_id"] for row in await app.deliveries(webhook)] == [event]
    await app.db.execute("SELECT pg_advisory_unlock(123)")  # and dies
    async with serving(database):
        await until(lambda: settled(app, webhook, "success", 3), within=10)


async def test_an_event_for_many_webhooks_reaches_each_once_though_its_daemon_dies(
    app: Application, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    class DyingInserter(DeliveryInserter):
        pieces = 0

        async def insert_some(
            self, matched: MatchedEvent, webhooks: Sequence[WebhookId]
        ) -> LeasedEvent | None:
            self.pieces += 1
            if self.pieces == 3:
                raise RuntimeError("killed")
            return await super().insert_some(matched, webhooks)

    monkeypatch.setattr(tenant_fanout, "INSERTED_AT_ONCE", 10)
    tenant = await app.tenant()
    webhooks = {await app.webhook(tenant, "http://127.0.0.1/") for _ in range(45)}
    await app.event(tenant)
    waker = LaneWaker(Lanes(slots=10, widest=10))
    offload = Offload()

    def fanout_with(made_by: type[DeliveryInserter]) -> TenantFanout:
        maker = made_by(db, waker, leasing=LEASING, metrics=Metrics())
        parts = db, SubscriptionCache(db), maker
        return TenantFanout(*parts, leasing=LEASING, offload=offload, metrics=Metrics())

    with pytest.raises(RuntimeError):
        await fanout_with(DyingInserter).fan_out(await lease(db))
    assert await deliveries(app) == 20
    await app.db.execute("UPDATE webhook_event_inbox SET leased_until = NULL")
    await fanout_with(DeliveryInserter).fan_out(await lease(db))
    offload.close()

    assert await deliveries(app) == 45
    reached = await app.db.fetch("SELECT DISTINCT webhook_id FROM webhook_deliveries")
    assert {UUID(str(row["webhook_id"])) for row in reached} == webhooks
    assert await app.db.fetchval(COUNT_INBOX) == 0


async def deliveries(app: Application) -> int:
    return int(await app.db.fetchval("SELECT count(*) FROM webhook_deliveries"))


async def test_an_event_that_was_deleted_leaves_the_inbox(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    await app.events(tenant, 3)
    await app.db.execute("DELETE FROM webhook_events")
    async with serving(database):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))
        await until(lambda: app.db.fetchval(f"SELECT ({COUNT_INBOX}) = 0"))


@pytest.mark.parametrize("one_transaction", [True, False])
async def test_a_lease_reads_no_more_than_it_takes_with_statistics_of_an_empty_inbox(
    app: Application, one_transaction: bool
) -> None:
    await app.db.execute("ANALYZE webhook_event_inbox; ANALYZE webhook_events")
    tenants = [await app.tenant() for _ in range(3)]
    for tenant in tenants:
        await app.webhook(tenant, "http://127.0.0.1/")
        await app.events(tenant, 4_000)
    if not one_transaction:
        await app.db.execute(
            "WITH numbered AS MATERIALIZED (SELECT ctid AS row, row_number() OVER () AS n"
            " FROM webhook_event_inbox) UPDATE webhook_event_inbox AS i SET xid = n::text::xid8"
            " FROM unnest(ARRAY(SELECT row FROM numbered), ARRAY(SELECT n FROM numbered))"
            " AS number (row, n) WHERE ctid = number.row"
        )
    xid = await app.db.fetchval(
        "SELECT xid::text FROM webhook_event_inbox WHERE tenant_id = $1 LIMIT 1", tenants[1]
    )
    arguments = (*LEASING.arguments,)
    scanned = await most_rows_read(
        app.db,
        SCAN,
        *arguments,
        *(["0"], [UUID(int=2**128 - 1)], [str(2**63 - 1)], 100, [], 50, 32),
        *("0", [], 100, [False], []),
    )
    turn = await most_rows_read(
        *(app.db, LEASE_TURNS, *arguments),
        *([xid], [tenants[1]], [UUID(int=0)], [50]),
        *([], [], [], []),
    )

    assert scanned <= 200
    assert turn <= 50


async def test_every_event_of_many_tenants_leaves_the_inbox_without_a_full_scan(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenants = [await app.tenant() for _ in range(70)]
    for tenant in tenants:
        await app.webhook(tenant, "http://127.0.0.1/", types=["other"])
    async with serving(database):
        monkeypatch.setattr(inbox_search, "FULL_SCAN_SECONDS", 3600.0)
        await until(lambda: app.db.fetchval(f"SELECT ({COUNT_INBOX}) = 0"))
        for _ in range(8):
            await app.db.execute(
                "INSERT INTO webhook_events (id, tenant_id, event_type)"
                " SELECT gen_random_uuid(), tenant, 'email.opened'"
                "   FROM unnest($1::uuid[]) AS tenant, generate_series(1, 5)",
                tenants,
            )
        await until(lambda: app.db.fetchval(f"SELECT ({COUNT_INBOX}) = 0"))


@pytest.mark.parametrize("error", STATEMENT_FAILURES)
async def test_an_event_that_cannot_be_inserted_stops_no_other_of_its_tenant(
    app: Application,
    database: str,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    first, bad, last = await app.events(tenant, 3)
    original = DeliveryInserter.insert

    async def insert(
        self: DeliveryInserter, matched: Sequence[MatchedEvent], **options: Any
    ) -> Inserted:
        if any(each.leased.event.id == bad for each in matched):
            raise error("this event cannot be inserted")
        return await original(self, matched, **options)

    monkeypatch.setattr(DeliveryInserter, "insert", insert)
    # None is sent before it has a row.
    monkeypatch.setattr(Lanes, "queue_room", lambda *_, **__: 0)
    async with serving(database):
        await until(lambda: settled(app, webhook, "success", 2))
        later = await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 3))

    delivered = {row["event_id"] for row in await app.deliveries(webhook)}
    assert delivered == {first, last, later}
    assert await app.db.fetchval("SELECT event_id FROM webhook_event_inbox") == bad


async def test_each_place_of_a_scan_is_named_with_its_own_tenant(
    app: Application, db: Database
) -> None:
    """Numbers of transactions are compared as numbers: 999 is before 1000, as text it is not."""
    tenants = [await app.tenant(), await app.tenant()]
    for tenant in tenants:
        await app.webhook(tenant, "https://receiver.example/")
    for number in range(4):
        await app.event(tenants[number % 2])
    await app.db.execute(
        "UPDATE webhook_event_inbox AS i SET xid = (998 + n.number)::text::xid8"
        " FROM (SELECT event_id, row_number() OVER (ORDER BY xid) AS number"
        "         FROM webhook_event_inbox) AS n WHERE n.event_id = i.event_id"
    )

    found = await scan_keys(db)

    stored = await app.db.fetch(
        "SELECT xid::text::int AS xid, tenant_id FROM webhook_event_inbox ORDER BY xid"
    )
    assert found == [(row["xid"], row["tenant_id"]) for row in stored]
    assert [xid for xid, _ in found] == [999, 1000, 1001, 1002]


async def test_events_of_tenants_without_webhooks_take_nobodys_turn(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    paused = await app.tenant()
    await app.webhook(paused, receiver.url + "/paused")
    await app.db.execute("UPDATE webhooks SET is_active = false WHERE tenant_id = $1", paused)
    async with serving(database):
        await app.db.execute(
            "INSERT INTO webhook_events (id, tenant_id, event_type)"
            " SELECT gen_random_uuid(), gen_random_uuid(), 'x' FROM generate_series(1, 5000)"
        )
        await app.events(paused, 100)
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))
        await until(lambda: app.db.fetchval(f"SELECT ({COUNT_INBOX}) = 0"))

    assert await deliveries(app) == 1


async def test_events_that_an_older_daemon_put_back_without_their_tenant_are_not_lost(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    event = await app.event(tenant)
    await app.db.execute("DELETE FROM webhook_event_inbox")
    await app.db.execute(
        "INSERT INTO webhook_event_inbox (event_id, webhook_id) VALUES ($1, $2)", event, webhook
    )
    async with serving(database):
        await until(lambda: settled(app, webhook, "success", 1))


async def test_tenants_that_are_let_go_during_a_scan_confuse_nothing(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every tenant is taken for dear, so that tasks end while the inbox is scanned."""
    monkeypatch.setattr(fanout, "TENANT_SECONDS", 0.0)
    monkeypatch.setattr(fanout, "LEAST_EVENTS", 5)
    monkeypatch.setattr(fanout, "MOST_EVENTS", 5)
    monkeypatch.setattr(inbox_reader, "SCAN_SECONDS", 0.0)
    tenants = [await app.tenant() for _ in range(20)]
    for tenant in tenants:
        await app.webhook(tenant, "http://127.0.0.1/", types=["other"])
    with capture_logs() as logs:
        async with serving(database):
            for _ in range(15):
                for tenant in tenants:
                    await app.events(tenant, 2)
            await until(lambda: app.db.fetchval(f"SELECT ({COUNT_INBOX}) = 0"))

    assert [each for each in logs if each["log_level"] == "error"] == []


@pytest.mark.parametrize("removals", [1, inbox_search.REMOVALS])
async def test_more_unwanted_events_than_one_statement_removes_leave_the_inbox_too(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch, removals: int
) -> None:
    monkeypatch.setattr(inbox_search, "REMOVALS", removals)
    tenant = await app.tenant()
    for _ in range(300):
        await app.db.execute(
            "INSERT INTO webhook_events (id, tenant_id, event_type)"
            " SELECT gen_random_uuid(), $1, 'x' FROM generate_series(1, 20)",
            tenant,
        )
    assert await app.db.fetchval(COUNT_INBOX) > unwanted_events.MOST_UNWANTED
    # The first scan is a full one; what it leaves is found without another.
    monkeypatch.setattr(inbox_search, "FULL_SCAN_SECONDS", 3600.0)
    async with serving(database):
        await until(lambda: app.db.fetchval(f"SELECT ({COUNT_INBOX}) = 0"), within=20)

    assert await deliveries(app) == 0
