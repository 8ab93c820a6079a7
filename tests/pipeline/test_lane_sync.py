"""The lane sync finds what is due without a notification, and reads little of what is not."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from daemon.core.model.cursor import FIRST_ID, LAST_ID
from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.scheduling import slow_webhooks
from daemon.core.scheduling.endpoint_lane import NextDue
from daemon.core.scheduling.lanes import Lanes
from daemon.pipeline import lane_sync
from daemon.pipeline.lane_sync import LONGEST_SWEEP_SECONDS, LaneSync
from daemon.pipeline.lane_waker import LaneWaker
from daemon.runtime.metrics import Metrics
from daemon.store import lanes as store
from daemon.store.database import Database
from daemon.store.lanes import FIND_DUE_LANES
from daemon.store.session import PLANNING
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import insert_delivery, insert_many, settled
from tests.support.failing import HOUR, set_failing
from tests.support.receiver import Receiver

MINUTE = timedelta(minutes=1)


class Waker(LaneWaker):
    """Keeps what is announced."""

    def __init__(self, lanes: Lanes) -> None:
        super().__init__(lanes)
        self.announced: list[UUID] = []

    def announce(
        self,
        webhook_id: WebhookId,
        due_in: float,
        since: datetime | None,
        *,
        tenant_id: TenantId,
        failing: bool = False,
        unspaced: bool = False,
    ) -> None:
        self.announced.append(webhook_id)
        super().announce(
            *(webhook_id, due_in, since), tenant_id=tenant_id, failing=failing, unspaced=unspaced
        )


class Sync:
    """A lane sync that runs when the test says so."""

    def __init__(self, database: Database) -> None:
        self.lanes = Lanes(slots=100, widest=10)
        self.waker = Waker(self.lanes)
        self.loop = LaneSync(database, self.lanes, self.waker, metrics=Metrics())

    async def sweep(self) -> list[UUID]:
        """Run until all endpoints were looked at; return those that were announced."""
        self.waker.announced.clear()
        while True:
            await self.loop.run_once()
            if self.loop._search.begins:
                return list(self.waker.announced)


@pytest.fixture
async def sync(database: str) -> AsyncIterator[Sync]:
    opened = Database(database, size=2)
    await opened.open()
    yield Sync(opened)
    await opened.close(within=timedelta(seconds=1))


async def webhooks(app: Application, count: int) -> list[UUID]:
    tenant = await app.tenant()
    return [await app.webhook(tenant, "https://receiver.example/") for _ in range(count)]


async def insert_due(app: Application, webhook: UUID, due_in: timedelta) -> None:
    at = datetime.now(UTC) + due_in
    await insert_delivery(app, webhook, next_retry_at=at, event_created_at=at)


async def test_while_nothing_is_pending_sweeps_are_rare(app: Application, sync: Sync) -> None:
    [webhook] = await webhooks(app, 1)

    empty = await sync.loop.run_once()
    await insert_due(app, webhook, timedelta(days=1))
    pending = await sync.loop.run_once()

    assert pending <= lane_sync.INTERVAL_SECONDS < empty <= lane_sync.EMPTY_INTERVAL_SECONDS


async def test_where_nothing_is_announced_sweeps_that_find_nothing_are_no_rarer(
    database: str,
) -> None:
    opened = Database(database, size=2, pooled=True)
    await opened.open()
    empty = await Sync(opened).loop.run_once()
    await opened.close(within=timedelta(seconds=1))

    assert empty <= lane_sync.INTERVAL_SECONDS


async def test_what_is_due_or_will_be_soon_is_announced_and_nothing_else(
    app: Application, sync: Sync
) -> None:
    overdue, soon, tomorrow, paused, failing, probed, leased, asked = await webhooks(app, 8)
    for webhook in (overdue, paused, failing, probed, leased, asked):
        await insert_due(app, webhook, -MINUTE)
    await insert_due(app, soon, timedelta(seconds=LONGEST_SWEEP_SECONDS - 3))
    await insert_due(app, tomorrow, timedelta(days=1))
    await app.db.execute("UPDATE webhooks SET is_active = false WHERE id = $1", paused)
    await set_failing(app, failing)
    await set_failing(app, probed, probe_in=timedelta(0))
    await set_failing(app, asked)
    await app.db.execute("UPDATE webhooks SET requested_attempts = '{}' WHERE id = $1", asked)
    await app.db.execute(
        "UPDATE webhook_deliveries SET leased_until = now() + interval '1 minute'"
        " WHERE webhook_id = $1",
        leased,
    )

    announced = await sync.sweep()

    assert sorted(announced) == sorted([overdue, soon, probed, asked])
    due = [turn.webhook_id for turn in sync.lanes.next_turns(now=1e12, room=100)]
    assert sorted(due) == sorted(announced)


async def test_a_sweep_goes_through_all_endpoints_in_pieces(
    app: Application, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_sync, "PIECE", 3)
    expected = await webhooks(app, 9)  # the last piece is full, too
    for webhook in expected:
        await insert_due(app, webhook, -MINUTE)
        await insert_due(app, webhook, timedelta(days=1))

    pieces = []
    for _ in range(4):
        sync.waker.announced.clear()
        await sync.loop.run_once()
        pieces.append(sorted(sync.waker.announced))

    by_id = sorted(expected)
    assert pieces == [by_id[:3], by_id[3:6], by_id[6:], []]
    assert sync.loop._search.begins


async def test_a_lane_that_is_known_to_be_due_is_not_announced_again(
    app: Application, sync: Sync
) -> None:
    [webhook] = await webhooks(app, 1)
    await insert_due(app, webhook, -MINUTE)

    assert await sync.sweep() == [webhook]
    assert await sync.sweep() == []


async def test_an_attempt_that_is_due_before_those_that_are_known_is_announced(
    app: Application, sync: Sync
) -> None:
    [webhook] = await webhooks(app, 1)
    await insert_due(app, webhook, -MINUTE)
    await sync.sweep()
    await insert_due(app, webhook, -HOUR)

    assert await sync.sweep() == [webhook]
    [turn] = sync.lanes.next_turns(now=1e12, room=100)
    assert turn.since is not None
    assert turn.since < datetime.now(UTC) - MINUTE * 30


async def test_a_lane_that_waits_for_a_probe_for_no_reason_is_woken(
    app: Application, sync: Sync
) -> None:
    [webhook] = await webhooks(app, 1)
    await insert_due(app, webhook, -MINUTE)
    await sync.sweep()
    now = time.monotonic()
    sync.lanes.space(WebhookId(webhook), until=now + 3600, now=now)

    assert await sync.sweep() == [webhook]
    due = NextDue(time.monotonic(), datetime.now(UTC))
    assert sync.lanes.knows(WebhookId(webhook), due, now=time.monotonic())


@pytest.fixture
async def other(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[asyncpg.Connection]:
    """Another connection. To pass many entries takes too long for a sweep, by twice as much."""
    limits = "SET LOCAL statement_timeout = '10ms'; SET LOCAL lock_timeout = '5ms'"
    monkeypatch.setattr(store, "LIMIT_TIME", limits)
    # On a busy machine, any may take so long: it is looked at again in the next sweep.
    monkeypatch.setattr(slow_webhooks, "FIRST_SECONDS", 0.0)
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


async def sweep_until_announced(sync: Sync, expected: Collection[UUID]) -> set[UUID]:
    """Sweep until all of these were announced; return all that were."""
    announced: set[UUID] = set()
    while not announced >= set(expected):
        announced |= set(await sync.sweep())
    return announced


def passed(sync: Sync) -> UUID | None:
    """The first webhook that is remembered as slow."""
    return sync.loop._search._slow.first_after(FIRST_ID)


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
async def test_many_rows_of_a_transaction_that_stays_open_delay_their_own_webhook_alone(
    app: Application, sync: Sync, other: asyncpg.Connection, end: str
) -> None:
    slow, *others = sorted(await webhooks(app, 4))
    for webhook in others:
        await insert_due(app, webhook, -MINUTE)
    await insert_many(other, slow)

    announced = await sweep_until_announced(sync, others)
    known = passed(sync)
    for webhook in others:
        await insert_due(app, webhook, -HOUR)
    again = await sweep_until_announced(sync, others)
    await other.execute(end)
    await insert_due(app, slow, -MINUTE)
    # Each look removes entries that are dead for all, so that a later one passes fewer.
    finally_announced = await sweep_until_announced(sync, [slow])

    assert (announced, known) == (set(others), slow)
    assert (again, finally_announced) == (set(others), {slow})


async def test_many_rows_of_a_webhook_that_is_not_committed_itself_keep_no_sweep_from_its_end(
    app: Application, sync: Sync, other: asyncpg.Connection
) -> None:
    both = await webhooks(app, 2)
    for webhook in both:
        await insert_due(app, webhook, -MINUTE)
    await insert_many(other, UUID(int=1))

    assert await sweep_until_announced(sync, both) == set(both)
    assert passed(sync) is None


async def test_a_webhook_with_very_many_attempts_that_are_seen_is_not_passed(
    app: Application, sync: Sync, other: asyncpg.Connection
) -> None:
    both = sorted(await webhooks(app, 2))
    await insert_many(other, both[0])
    await other.execute("COMMIT")
    await insert_due(app, both[1], -MINUTE)

    assert await sync.sweep() == both
    assert passed(sync) is None


async def test_no_webhook_is_passed_because_a_table_is_locked(
    app: Application, sync: Sync, other: asyncpg.Connection
) -> None:
    [webhook] = await webhooks(app, 1)
    await insert_due(app, webhook, -MINUTE)
    await other.execute("BEGIN; LOCK TABLE webhook_deliveries IN ACCESS EXCLUSIVE MODE")
    sweep = asyncio.create_task(sync.loop.run_once())
    await asyncio.sleep(0.1)  # several times as long as a sweep may read
    await other.execute("ROLLBACK")
    await sweep

    assert (sync.waker.announced, passed(sync)) == ([webhook], None)


async def test_while_nothing_is_pending_a_sweep_is_one_statement(
    app: Application, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    [webhook] = await webhooks(app, 1)
    await sync.sweep()
    monkeypatch.setattr(store, "LIMIT_TIME", "SELECT 1 / 0")  # is not executed
    await sync.sweep()
    monkeypatch.undo()
    await insert_due(app, webhook, -MINUTE)

    assert await sync.sweep() == [webhook]
    assert sync.loop._search.found_any


async def test_the_age_of_the_oldest_due_attempt_is_that_of_all_pieces(
    app: Application, sync: Sync, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane_sync, "PIECE", 1)
    first, second, paused = sorted(await webhooks(app, 3))
    await insert_due(app, first, -HOUR)
    await insert_due(app, second, -MINUTE)
    await insert_due(app, paused, -HOUR * 24)
    await app.db.execute("UPDATE webhooks SET is_active = false WHERE id = $1", paused)
    await sync.sweep()
    hour = sync.loop.oldest_due_seconds
    await app.db.execute("DELETE FROM webhook_deliveries WHERE webhook_id = $1", first)

    await sync.sweep()

    assert hour == pytest.approx(3600, abs=30)
    assert sync.loop.oldest_due_seconds == pytest.approx(60, abs=30)


async def test_the_share_of_the_time_grows_only_where_a_sweep_would_take_too_long(
    app: Application, sync: Sync
) -> None:
    first = sync.loop._share
    await sync.sweep()

    assert (first, sync.loop._share) == (lane_sync.FIRST_SHARE, lane_sync.USUAL_SHARE)
    sync.loop._took_in_sweep = LONGEST_SWEEP_SECONDS / 10
    sync.loop._end_sweep()
    assert sync.loop._share == pytest.approx(0.1)
    sync.loop._took_in_sweep = LONGEST_SWEEP_SECONDS
    sync.loop._end_sweep()
    assert sync.loop._share == lane_sync.MAX_SHARE


async def test_what_nobody_announced_is_delivered(
    app: Application, database: str, receiver: Receiver
) -> None:
    webhook = await app.webhook(await app.tenant(), receiver.url)
    async with serving(database):
        # With the event's time a row fires no trigger, and so nothing is notified.
        await insert_due(app, webhook, -MINUTE)
        await until(lambda: settled(app, webhook, "success", 1))


async def test_the_sweep_reads_by_the_indexes_made_for_it_if_the_tables_were_empty_when_analyzed(
    app: Application,
) -> None:
    await app.db.execute(f"{PLANNING}; ANALYZE webhook_deliveries; ANALYZE webhooks")
    await app.db.execute(f"PREPARE sweep (uuid, int, interval, uuid) AS {FIND_DUE_LANES}")
    for _ in range(7):  # the last one has the generic plan
        rows = await app.db.fetch(f"EXPLAIN EXECUTE sweep ('{FIRST_ID}', 250, '10 s', '{LAST_ID}')")

    scans = [row[0] for row in rows if " on webhook" in row[0] and "Scan" in row[0]]
    deliveries = [line for line in scans if " on webhook_deliveries" in line]
    assert len(deliveries) == 3
    assert all("using webhook_deliveries_pending_due" in line for line in deliveries)
    others = [line for line in scans if line not in deliveries]
    keys = ("webhooks", "webhook_pacing", "webhook_holds")
    assert all(any(f"using {key}_pkey" in line for key in keys) for line in others)
