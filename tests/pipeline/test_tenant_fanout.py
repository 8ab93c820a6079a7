"""Tenants whose events take long to match delay no tenant whose events do not."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from daemon.core.model.ids import WebhookId
from daemon.core.scheduling.inbox_scan import EMPTY_SNAPSHOT, InboxScan
from daemon.core.scheduling.lanes import Lanes
from daemon.pipeline.delivery_inserter import DeliveryInserter
from daemon.pipeline.event_matcher import EventMatcher
from daemon.pipeline.lane_waker import LaneWaker
from daemon.pipeline.subscription_cache import SubscriptionCache
from daemon.pipeline.tenant_fanout import TenantFanout
from daemon.runtime.metrics import Metrics
from daemon.runtime.offload import Offload
from daemon.runtime.time_slice import TimeSlice
from daemon.store import event_inbox
from daemon.store.database import Database
from daemon.store.leased_events import LeasedEvent, Leasing
from tests.support.application import Application
from tests.support.daemons import until

LEASING = Leasing(lease=timedelta(seconds=15), daemon_key=7, most_bytes=8_000_000)
COSTLY = 4
LARGE = {"text": "x" * 70_000}


@pytest.fixture
async def db(database: str) -> AsyncIterator[Database]:
    opened = Database(database, size=4)
    await opened.open()
    yield opened
    await opened.close(within=timedelta(seconds=1))


@pytest.fixture
async def tenants(db: Database) -> AsyncIterator[TenantFanout]:
    """The fan-out, of which no tenant's subscriptions are loaded."""
    offload, metrics = Offload(), Metrics()
    inserter = DeliveryInserter(
        db, LaneWaker(Lanes(slots=10, widest=10)), leasing=LEASING, metrics=metrics
    )
    parts = db, SubscriptionCache(db), inserter
    yield TenantFanout(*parts, leasing=LEASING, offload=offload, metrics=metrics)
    offload.close()


async def lease(db: Database) -> dict[UUID, list[LeasedEvent]]:
    """Lease all events; returns those of each tenant."""
    async with db.connection() as connection:
        found = await event_inbox.scan(
            *(connection, InboxScan(keys_per_range=100).ranges(now=0.0), LEASING),
            seen=EMPTY_SNAPSHOT,
            waiting=[],
            keys=100,
            limit=100,
            per_key=100,
        )
    by_tenant: dict[UUID, list[LeasedEvent]] = {}
    for each in found.leased.events:
        by_tenant.setdefault(each.event.tenant_id, []).append(each)
    return by_tenant


class Costly:
    """Matching the events of these tenants takes so many slices, or less once it may end."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, tenants: set[UUID], *, slices: int = 1_000_000
    ) -> None:
        self.begun: dict[UUID, int] = {}
        self.may_end = asyncio.Event()
        original = EventMatcher.subscribers_of

        async def subscribers_of(
            matcher: EventMatcher, event: Any, *rest: Any, time_slice: TimeSlice
        ) -> list[WebhookId]:
            if event.tenant_id in tenants:
                self.begun[event.tenant_id] = self.begun.get(event.tenant_id, 0) + 1
                for _ in range(slices):
                    if not self.may_end.is_set():
                        await time_slice.rest_after(0.0025)
            return await original(matcher, event, *rest, time_slice=time_slice)

        monkeypatch.setattr(EventMatcher, "subscribers_of", subscribers_of)


async def _webhooks(app: Application, count: int) -> list[tuple[UUID, UUID]]:
    """New tenants, each with a webhook whose filter needs the data."""
    tenants = [await app.tenant() for _ in range(count)]
    return [
        (each, await app.webhook(each, "http://127.0.0.1/", filters={"workspaces": ["w"]}))
        for each in tenants
    ]


@pytest.mark.parametrize("data", [{}, LARGE], ids=["small data", "large data"])
async def test_an_event_does_not_wait_for_tenants_whose_events_take_long_to_match(
    app: Application,
    db: Database,
    tenants: TenantFanout,
    monkeypatch: pytest.MonkeyPatch,
    data: dict[str, str],
) -> None:
    webhooks = await _webhooks(app, COSTLY + 1)
    for tenant, _ in webhooks:
        await app.event(tenant, {"workspace_id": "w", **data})
    costly_tenants = [tenant for tenant, _ in webhooks[:COSTLY]]
    light = webhooks[COSTLY][0]
    events = await lease(db)
    costly = Costly(monkeypatch, set(costly_tenants))

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        for each in costly_tenants:
            tasks.create_task(tenants.fan_out(events[each]))
        await until(lambda: len(costly.begun) == COSTLY)
        assert await tenants.fan_out(events[light]) == []
        assert await _delivered(app) == [light]
        costly.may_end.set()

    assert sorted(await _delivered(app)) == sorted(tenant for tenant, _ in webhooks)


async def test_a_tenant_alone_is_matched_once_however_long_its_event_takes(
    app: Application, db: Database, tenants: TenantFanout, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((tenant, _),) = await _webhooks(app, 1)
    await app.event(tenant, {"workspace_id": "w"})
    events = await lease(db)
    costly = Costly(monkeypatch, {tenant}, slices=60)  # 0.15 s

    async with asyncio.timeout(20):
        assert await tenants.fan_out(events[tenant]) == []

    assert costly.begun == {tenant: 1}
    assert await _delivered(app) == [tenant]


async def _delivered(app: Application) -> list[UUID]:
    rows = await app.db.fetch(
        "SELECT tenant_id FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook_id"
    )
    return [row["tenant_id"] for row in rows]


BLOCK_LARGE_INSERTS = """
    CREATE FUNCTION wait_for_the_test() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared(1);
        RETURN NEW;
    END $$;
    CREATE TRIGGER wait BEFORE INSERT ON webhook_deliveries FOR EACH ROW
    WHEN (length(NEW.payload::text) > 500000) EXECUTE FUNCTION wait_for_the_test()
"""
INSERTS_THAT_WAIT = """
    SELECT count(*) FROM pg_locks
     WHERE locktype = 'advisory' AND objid = 1 AND NOT granted
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
VERY_LARGE = {"text": "x" * 600_000}


async def test_an_event_does_not_wait_for_large_ones_to_be_copied(
    app: Application, db: Database, tenants: TenantFanout
) -> None:
    await app.db.execute(BLOCK_LARGE_INSERTS)
    copied, other = [await app.tenant() for _ in range(COSTLY)], await app.tenant()
    for tenant in (*copied, other):
        await app.webhook(tenant, "http://127.0.0.1/")
        await app.event(tenant, data=LARGE if tenant == other else VERY_LARGE)
    leased = await lease(db)
    async with asyncio.timeout(20), app.db.transaction():
        await app.db.execute("SELECT pg_advisory_xact_lock(1)")
        large = [asyncio.create_task(tenants.fan_out(leased[each])) for each in copied]
        await until(lambda: app.db.fetchval(INSERTS_THAT_WAIT))

        left = await tenants.fan_out(leased[other])

        waiting = await app.db.fetchval(INSERTS_THAT_WAIT)
    await asyncio.gather(*large)
    assert (left, waiting) == ([], 1)
    assert await app.db.fetchval("SELECT count(*) FROM webhook_deliveries") == COSTLY + 1
