"""What is deleted for its age, what stays whatever its age, and that nobody is delayed by it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from daemon.maintenance.retention import Retention
from daemon.maintenance.retention_jobs import ROUNDS_PER_WHOLE_ROUND
from daemon.runtime.metrics import Metrics
from daemon.store import retention
from daemon.store.database import Connection, Database
from daemon.store.retention import Found, Place, Shelf
from tests.support.aged_rows import (
    OLD,
    count_in,
    ids_in,
    many_deliveries,
    many_events,
    stored_delivery,
    stored_event,
    stored_notice,
    stored_replay,
)
from tests.support.application import Application
from tests.support.daemons import metrics_of, serving, until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver

YOUNG = "now() - interval '6 days'"
WEEK = timedelta(days=7)


@asynccontextmanager
async def janitor_of(
    url: str, *, rest: timedelta = timedelta(0), metrics: Metrics | None = None
) -> AsyncIterator[Retention]:
    """One that keeps deliveries and events for a week."""
    database = Database(url, size=2)
    await database.open()
    try:
        yield Retention(
            database, deliveries=WEEK, events=WEEK, metrics=metrics or Metrics(), rest=rest
        )
    finally:
        await database.close(within=timedelta(seconds=2))


async def one_round(janitor: Retention) -> None:
    """Go through everything once, without the rests."""
    async with asyncio.timeout(60):
        await janitor.run_once()
        while not janitor.resting:
            await janitor.run_once()


async def cleaned(url: str) -> None:
    async with janitor_of(url) as janitor:
        await one_round(janitor)


@pytest.fixture
async def webhook(app: Application) -> UUID:
    return await app.webhook(await app.tenant(), "https://example.com")


# Deliveries


async def test_finished_deliveries_go_when_they_are_old_and_stay_until_then(
    app: Application, database: str, webhook: UUID
) -> None:
    other = await app.webhook(await app.tenant(), "https://example.com")
    young = {
        await stored_delivery(app, each, status=status, at=YOUNG)
        for each in (webhook, other)
        for status in ("success", "failed")
    }
    for each in (webhook, other):
        await stored_delivery(app, each, status="success")
        await stored_delivery(app, each, status="failed")

    await cleaned(database)

    assert await ids_in(app, "webhook_deliveries") == young


async def test_what_is_still_to_be_made_stays_however_old(
    app: Application, database: str, webhook: UUID
) -> None:
    event_id = uuid4()
    await stored_delivery(app, webhook, event_id=event_id, status="failed", attempt_number=1)
    pending = await stored_delivery(
        app, webhook, event_id=event_id, status="pending_retry", attempt_number=2
    )
    odd = await stored_delivery(app, webhook, status="somebody's own")
    leased = await stored_delivery(app, webhook, status="failed")
    await app.db.execute(
        "UPDATE webhook_deliveries SET leased_until = now() + '1 minute' WHERE id = $1", leased
    )

    await cleaned(database)

    assert await ids_in(app, "webhook_deliveries") == {pending, odd, leased}


async def test_what_has_no_time_has_no_age_and_no_calendar_is_too_long(
    app: Application, database: str, webhook: UUID
) -> None:
    tenant = await app.tenant()
    for time in ("'-infinity'", "'4000-01-01 BC'", "'0001-01-01'"):
        await stored_delivery(app, webhook, at=time)
        await stored_event(app, tenant, at=time)
    deliveries = {await stored_delivery(app, webhook, at=at) for at in ("NULL", "'infinity'")}
    events = {await stored_event(app, tenant, at=at) for at in ("NULL", "'infinity'")}

    await cleaned(database)

    assert await ids_in(app, "webhook_deliveries") == deliveries
    assert await ids_in(app, "webhook_events") == events


@pytest.mark.parametrize("distance", ["0", "n * interval '1 second'"], ids=["one time", "many"])
async def test_a_great_many_that_may_not_go_do_not_hide_those_behind_them(
    app: Application, database: str, webhook: UUID, distance: str
) -> None:
    at = OLD if distance == "0" else f"{OLD} + {distance}"
    await many_deliveries(app, webhook, 5000, at=at, status="pending_retry")
    await stored_delivery(app, webhook, at=f"{OLD} + interval '2 hours'")

    await cleaned(database)

    assert await count_in(app, "webhook_deliveries WHERE status = 'success'") == 0
    assert await count_in(app, "webhook_deliveries") == 5000


async def test_a_great_many_of_one_time_all_go(
    app: Application, database: str, webhook: UUID
) -> None:
    await many_deliveries(app, webhook, 6000)

    await cleaned(database)

    assert await count_in(app, "webhook_deliveries") == 0


@pytest.mark.parametrize("order", ["ASC", "DESC"], ids=["pending first", "pending last"])
async def test_of_a_great_many_of_one_moment_those_go_that_may(
    app: Application, database: str, webhook: UUID, order: str
) -> None:
    await app.db.execute(
        "INSERT INTO webhook_deliveries (id, webhook_id, event_id, payload, status, attempted_at,"
        " event_created_at, next_retry_at)"
        " SELECT lpad(to_hex(n), 32, '0')::uuid, $1, gen_random_uuid(), '{}',"
        "        CASE WHEN n <= 1000 THEN 'pending_retry' ELSE 'success' END,"
        f"       {OLD}, now(), now() + interval '1 day'"
        f"  FROM generate_series(1, 2500) AS n ORDER BY n {order}",
        webhook,
    )

    await cleaned(database)

    assert await count_in(app, "webhook_deliveries WHERE status = 'success'") == 0
    assert await count_in(app, "webhook_deliveries") == 1000


async def test_no_webhook_and_no_tenant_is_left_out_however_many_there_are(
    app: Application, database: str
) -> None:
    await app.db.execute(
        "INSERT INTO tenants (id) SELECT gen_random_uuid() FROM generate_series(1, 2500);"
        "INSERT INTO webhooks (tenant_id, name, endpoint_url, secret_key)"
        " SELECT id, 'x', 'https://example.com', 'x' FROM tenants;"
        "INSERT INTO webhook_deliveries (webhook_id, event_id, status, attempted_at)"
        f" SELECT id, gen_random_uuid(), 'success', {OLD} FROM webhooks;"
        "INSERT INTO webhook_events (id, tenant_id, created_at)"
        f" SELECT gen_random_uuid(), id, {OLD} FROM tenants;"
        "TRUNCATE webhook_event_inbox"
    )

    await cleaned(database)

    assert await count_in(app, "webhook_deliveries") == 0
    assert await count_in(app, "webhook_events") == 0


# Events


async def test_events_go_when_they_are_old_and_stay_until_then(
    app: Application, database: str
) -> None:
    tenants = [await app.tenant() for _ in range(3)]
    young = {await stored_event(app, tenant, at=YOUNG) for tenant in tenants}
    for tenant in tenants:
        await stored_event(app, tenant)

    await cleaned(database)

    assert await ids_in(app, "webhook_events") == young


async def test_an_event_that_waits_to_be_fanned_out_stays(app: Application, database: str) -> None:
    tenant = await app.tenant()
    waiting = await stored_event(app, tenant, waiting=True)
    await stored_event(app, tenant)

    await cleaned(database)
    before = await ids_in(app, "webhook_events")
    await app.db.execute("TRUNCATE webhook_event_inbox")
    await cleaned(database)

    assert before == {waiting}
    assert await ids_in(app, "webhook_events") == set()


async def test_events_stay_while_very_many_wait_to_be_fanned_out(
    app: Application, database: str
) -> None:
    event = await stored_event(app, await app.tenant())
    await app.db.execute(
        "INSERT INTO webhook_event_inbox (event_id)"
        " SELECT gen_random_uuid() FROM generate_series(1, 20001)"
    )

    await cleaned(database)

    assert await ids_in(app, "webhook_events") == {event}


async def test_an_event_stays_while_a_delivery_that_the_application_inserted_looks_it_up(
    app: Application, database: str, webhook: UUID
) -> None:
    tenant = await app.tenant()
    needed = [await stored_event(app, tenant) for _ in range(2)]
    copied = await stored_event(app, tenant)
    status = "pending_retry"
    await stored_delivery(
        app, webhook, event_id=needed[0], status=status, payload=None, event_created_at=None
    )
    await stored_delivery(app, webhook, event_id=needed[1], status=status, event_created_at=None)
    await stored_delivery(app, webhook, event_id=copied, status=status)

    await cleaned(database)
    before = await ids_in(app, "webhook_events")
    await app.db.execute("UPDATE webhook_deliveries SET status = 'success'")
    await cleaned(database)

    assert before == set(needed)
    assert await ids_in(app, "webhook_events") == set()


# Replays and notices


async def test_notices_and_replays_that_are_over_go_after_ninety_days(
    app: Application, database: str, webhook: UUID
) -> None:
    for at in (OLD, "now() - interval '91 days'", "now() - interval '89 days'"):
        await stored_notice(app, webhook, at=at)
    for status in ("completed", "cancelled"):
        await stored_replay(app, webhook, status=status)
    kept = {
        await stored_replay(app, webhook, status="running", finished="NULL"),
        await stored_replay(app, webhook, status="completed", finished=YOUNG),
        await stored_replay(app, webhook, status="completed", at=YOUNG, finished=YOUNG),
    }

    await cleaned(database)

    assert await count_in(app, "webhook_notices") == 1
    assert await ids_in(app, "webhook_replays") == kept


async def test_all_old_records_go_however_many_but_for_what_somebody_holds(
    app: Application, database: str, webhook: UUID
) -> None:
    held = await stored_replay(app, webhook, status="completed")
    for _ in range(1200):
        await stored_notice(app, webhook)
        await stored_replay(app, webhook, status="completed")
    person = await asyncpg.connect(database)
    async with person.transaction():
        await person.execute("SELECT 1 FROM webhook_replays WHERE id = $1 FOR SHARE", held)
        await cleaned(database)
    await person.close()

    assert await count_in(app, "webhook_notices") == 0
    assert await ids_in(app, "webhook_replays") == {held}


# Nobody notices


async def test_what_somebody_holds_is_left_for_a_later_round_and_delays_nothing(
    app: Application, database: str, webhook: UUID
) -> None:
    tenant = await app.tenant()
    held_delivery, held_event = await stored_delivery(app, webhook), await stored_event(app, tenant)
    await many_deliveries(app, webhook, 1000)
    await many_events(app, tenant, 1000)
    person = await asyncpg.connect(database)
    async with janitor_of(database) as janitor:
        async with person.transaction():
            await person.execute(
                "SELECT 1 FROM webhook_deliveries WHERE id = $1 FOR SHARE", held_delivery
            )
            await person.execute("SELECT 1 FROM webhook_events WHERE id = $1 FOR SHARE", held_event)
            await one_round(janitor)
            during = await ids_in(app, "webhook_deliveries"), await ids_in(app, "webhook_events")
        for _ in range(ROUNDS_PER_WHOLE_ROUND):
            await one_round(janitor)
    await person.close()

    assert during == ({held_delivery}, {held_event})
    assert await count_in(app, "webhook_deliveries") == 0
    assert await count_in(app, "webhook_events") == 0


async def test_what_has_just_become_old_goes_next_and_what_comes_with_an_old_time_in_the_end(
    app: Application, database: str, webhook: UUID
) -> None:
    tenant, just_now = await app.tenant(), "now() - interval '7 days 20 seconds'"
    await stored_delivery(app, webhook)
    async with janitor_of(database) as janitor:
        await one_round(janitor)
        late = await stored_delivery(app, webhook), await stored_event(app, tenant)
        await stored_delivery(app, webhook, at=just_now)
        await stored_event(app, tenant, at=just_now)
        await one_round(janitor)
        between = await ids_in(app, "webhook_deliveries"), await ids_in(app, "webhook_events")
        for _ in range(ROUNDS_PER_WHOLE_ROUND - 1):
            await one_round(janitor)

    assert between == ({late[0]}, {late[1]})
    assert await count_in(app, "webhook_deliveries") == 0
    assert await count_in(app, "webhook_events") == 0


async def test_a_look_that_takes_too_long_is_given_up_until_the_next_round(
    app: Application, database: str, webhook: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "daemon.maintenance.retention.LONGEST_STATEMENT", timedelta(milliseconds=100)
    )
    await stored_delivery(app, webhook)
    await stored_notice(app, webhook)
    person = await asyncpg.connect(database)
    async with janitor_of(database) as janitor:
        with capture_logs() as logs:
            async with person.transaction():
                await person.execute("LOCK TABLE webhook_deliveries IN ACCESS EXCLUSIVE MODE")
                await one_round(janitor)
        await one_round(janitor)
    await person.close()

    assert [(line["event"], line.get("table"), line.get("notices")) for line in logs] == [
        ("janitor.gave_way", "deliveries", None),
        ("rows.deleted", None, 1),
    ]
    assert await count_in(app, "webhook_deliveries") == 0


async def test_a_lane_that_cannot_be_looked_through_holds_up_none_before_it(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = await app.tenant()
    stuck, free = sorted([await app.webhook(tenant, "https://example.com") for _ in range(2)])
    await many_deliveries(app, stuck, 500, status="pending_retry")
    find = retention.find

    async def find_or_give_up(db: Connection, shelf: Shelf, place: Place, **limits: Any) -> Found:
        if place.lane == stuck:
            raise asyncpg.QueryCanceledError
        return await find(db, shelf, place, **limits)

    monkeypatch.setattr(retention, "find", find_or_give_up)
    async with janitor_of(database) as janitor:
        await one_round(janitor)
        await stored_delivery(app, free)
        await one_round(janitor)

    assert await count_in(app, "webhook_deliveries WHERE status = 'success'") == 0


async def test_two_janitors_at_once_delete_everything_once(
    app: Application, database: str, webhook: UUID
) -> None:
    await many_deliveries(app, webhook, 10_000, at=f"{OLD} + n * interval '1 second'")
    metrics = [Metrics(), Metrics()]
    async with (
        janitor_of(database, metrics=metrics[0]) as one,
        janitor_of(database, metrics=metrics[1]) as other,
        asyncio.timeout(60),
    ):
        while await count_in(app, "webhook_deliveries"):
            await asyncio.gather(one_round(one), one_round(other))

    assert sum(deleted(each) for each in metrics) == 10_000


def deleted(metrics: Metrics) -> float:
    name = b'webhookd_rows_deleted_total{table="deliveries"} '
    [line] = [line for line in metrics.render().splitlines() if line.startswith(name)]
    return float(line.removeprefix(name))


async def test_who_finds_another_at_work_leaves_it_to_that_one(
    app: Application, database: str, webhook: UUID
) -> None:
    await stored_delivery(app, webhook)
    rival = await asyncpg.connect(database)
    async with janitor_of(database) as janitor:
        async with rival.transaction():
            assert await retention.only_one(rival, statement=timedelta(seconds=9))
            await one_round(janitor)
            during = await count_in(app, "webhook_deliveries")
        await one_round(janitor)
    await rival.close()

    assert during == 1
    assert await count_in(app, "webhook_deliveries") == 0


async def test_a_daemon_that_has_just_started_rests_first_but_comes_round(
    app: Application, database: str, webhook: UUID
) -> None:
    await stored_delivery(app, webhook)
    async with janitor_of(database, rest=timedelta(hours=1)) as janitor:
        nap = await janitor.run_once()

    assert nap == 10
    assert await count_in(app, "webhook_deliveries") == 1


async def test_a_round_that_deleted_something_is_one_line_and_any_other_none(
    app: Application, database: str, webhook: UUID
) -> None:
    await many_deliveries(app, webhook, 700)
    await stored_notice(app, webhook)
    async with janitor_of(database) as janitor:
        with capture_logs() as logs:
            await one_round(janitor)
            await one_round(janitor)

    assert logs == [{"event": "rows.deleted", "log_level": "info", "deliveries": 700, "notices": 1}]


async def test_a_round_that_a_fault_interrupts_goes_on(
    app: Application, database: str, webhook: UUID
) -> None:
    await many_deliveries(app, webhook, 2000)
    await stored_notice(app, webhook)
    async with janitor_of(database) as janitor:
        await app.db.execute("ALTER TABLE webhook_deliveries RENAME TO elsewhere")
        with pytest.raises(asyncpg.UndefinedTableError):
            await one_round(janitor)
        await app.db.execute("ALTER TABLE elsewhere RENAME TO webhook_deliveries")
        await one_round(janitor)

    assert await count_in(app, "webhook_deliveries") == 0
    assert await count_in(app, "webhook_notices") == 0


async def test_live_events_are_delivered_while_twenty_thousand_old_rows_go(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    await many_deliveries(app, webhook, 20_000, at=f"{OLD} + n * interval '1 second'")
    await many_events(app, tenant, 5000)
    published: set[UUID] = set()
    async with serving(database, retention={"deliveries": "1h", "events": "1s"}) as service:

        async def all_cleared() -> bool:
            published.update(await app.events(tenant, 20))
            return not await count_in(app, f"webhook_deliveries WHERE attempted_at < {YOUNG}")

        await until(all_cleared, every=0.02)
        published.update(await app.events(tenant, 20))
        await until(lambda: settled(app, webhook, "success", len(published)))
        await until(lambda: _none(app, "webhook_events"))
        page = await metrics_of(service)

    assert {request.event["id"] for request in receiver.received} == {
        f"evt_{event.hex}" for event in published
    }
    assert len(receiver.received) == len(published)
    assert 'webhookd_rows_deleted_total{table="deliveries"} 20000.0' in page


async def _none(app: Application, table: str) -> bool:
    return await count_in(app, table) == 0
