"""A transaction with an event for each of very many tenants delays nobody, and fills no memory."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from daemon.core.model.ids import EventId, TenantId
from daemon.core.scheduling import inbox_turns
from daemon.core.scheduling.slow_tenants import SlowTenants
from daemon.pipeline import inbox_search
from daemon.pipeline.inbox_reader import InboxReader
from daemon.pipeline.subscription_cache import SubscriptionCache
from daemon.store.database import Database
from daemon.store.leased_events import Leasing
from tests.support.application import SECRET, Application

COUNT_INBOX = "SELECT count(*) FROM webhook_event_inbox"
KEYS, ROOM, LIMIT = 100, 200, 100


@pytest.fixture
async def db(database: str) -> AsyncIterator[Database]:
    opened = Database(database, size=4)
    await opened.open()
    yield opened
    await opened.close(within=timedelta(seconds=1))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds of a tenth."""
    monkeypatch.setattr(inbox_search, "KEYS", KEYS)
    monkeypatch.setattr(inbox_turns, "MAX_UNSERVED", ROOM)


class Daemon:
    """The parts of a daemon that find events."""

    def __init__(self, db: Database, *, key: int = 7) -> None:
        self.reader = InboxReader(
            *(db, SubscriptionCache(db)),
            wake=asyncio.Event(),
            leasing=Leasing(lease=timedelta(minutes=5), daemon_key=key, most_bytes=8_000_000),
            slow=SlowTenants(slow_from=100),
        )
        self.leased: list[EventId] = []
        self.known = 0  # the most tenants that were known to wait, and sent with a scan
        self.leases = 0

    async def search(self) -> bool:
        """Search once; returns whether there is more to be searched."""
        goes_on = await self.reader.search.run_once() == 0.0
        self.known = max(self.known, len(self.reader.turns.tenants))
        return goes_on

    async def lease(self) -> list[TenantId]:
        """Lease a batch; returns whose events they are."""
        leased, _ = await self.reader.lease_next(limit=LIMIT, held=self.leased)
        self.leases += bool(leased.events)
        self.leased += [each.event.id for each in leased.events]
        return [each.event.tenant_id for each in leased.events]


async def tenants_with_webhooks(app: Application, count: int) -> None:
    await app.db.execute(
        "WITH t AS MATERIALIZED (SELECT gen_random_uuid() AS id FROM generate_series(1, $1)),"
        " added AS (INSERT INTO tenants (id) SELECT id FROM t RETURNING id)"
        " INSERT INTO webhooks (id, tenant_id, name, endpoint_url, secret_key)"
        " SELECT gen_random_uuid(), id, 'one of many', 'http://127.0.0.1/', $2 FROM added",
        *(count, SECRET),
    )


async def publish_for_all(app: Application) -> set[EventId]:
    rows = await app.db.fetch(
        "INSERT INTO webhook_events (id, tenant_id, event_type)"
        " SELECT gen_random_uuid(), tenant_id, 'x' FROM webhooks RETURNING id"
    )
    return {row["id"] for row in rows}


async def test_events_of_tenants_without_webhooks_that_are_found_aside_are_removed_in_sets(
    app: Application, db: Database
) -> None:
    await app.db.execute(
        "INSERT INTO webhook_events (id, tenant_id, event_type)"
        " SELECT gen_random_uuid(), gen_random_uuid(), 'x' FROM generate_series(1, 10000)"
    )
    daemon = Daemon(db)
    await daemon.lease()  # what is there at first is searched for
    searches = 1
    while await daemon.search():
        searches += 1

    assert await app.db.fetchval(COUNT_INBOX) == 0
    assert (daemon.known, daemon.leased) == (0, [])
    assert searches <= 10_000 // inbox_search.KEYS + 3


@pytest.mark.usefixtures("small")
async def test_what_is_known_of_an_event_for_each_of_many_tenants_is_bounded(
    app: Application, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_search, "FULL_SCAN_SECONDS", 0.0)
    await tenants_with_webhooks(app, 2000)
    events = await publish_for_all(app)
    daemon = Daemon(db)
    await daemon.lease()
    goes_on = [await daemon.search() for _ in range(10)]
    found = daemon.known
    fresh = await app.tenant()
    await app.webhook(fresh, "http://127.0.0.1/")
    events.add(EventId(await app.event(fresh)))
    daemon.reader._scan_at = 0.0
    first = await daemon.lease()
    while len(daemon.leased) < len(events):
        await daemon.search()
        await daemon.lease()

    assert not goes_on[-1]  # without room it rests, although the next full scan is due
    assert ROOM <= found <= daemon.known <= ROOM + KEYS
    assert fresh in first  # beside the many
    assert (len(daemon.leased), set(daemon.leased)) == (len(events), events)
    assert daemon.leases <= len(events) // LIMIT + 3  # a batch has events of many tenants


@pytest.mark.usefixtures("small")
async def test_of_many_tenants_events_two_daemons_and_a_third_after_them_lease_each_once(
    app: Application, db: Database
) -> None:
    await tenants_with_webhooks(app, 1000)
    events = await publish_for_all(app)
    daemons = [Daemon(db, key=7), Daemon(db, key=8)]
    for _ in range(3):
        for each in daemons:
            await each.lease()
            await each.search()
    begun = [event for each in daemons for event in each.leased]
    await daemons[1].reader.release_all()  # it is stopped
    third = Daemon(db, key=9)
    kept = daemons[0].leased
    await third.lease()
    while len(kept) + len(third.leased) < len(events):
        await third.search()
        await third.lease()

    assert 0 < len(set(begun)) == len(begun) < len(events)
    assert sorted(kept + third.leased) == sorted(events)
