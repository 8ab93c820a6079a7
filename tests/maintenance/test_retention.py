"""The retention loop's rounds beside locks, timeouts, errors, other daemons and deliveries."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from structlog.testing import capture_logs

from daemon.core.errors import StatementError, StatementTimeoutError
from daemon.maintenance.pruning import PASSES_PER_FULL_PASS
from daemon.maintenance.retention import MOST_TIMEOUTS, ROUNDS_PER_ROUND_OF_ALL
from daemon.runtime.metrics import Metrics
from daemon.store import expired_deliveries, expired_events, retention
from daemon.store.expired_rows import ExpiredPage, LaneCursor
from daemon.store.session import Connection
from tests.support.aged_rows import (
    OLD,
    YOUNG,
    count_in,
    ids_in,
    many_deliveries,
    many_events,
    stored_confirmation,
    stored_delivery,
    stored_event,
    stored_notice,
)
from tests.support.application import Application
from tests.support.daemons import metrics_of, serving, until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver
from tests.support.retention import one_round, retention_of


async def test_locked_rows_delay_nothing_and_are_deleted_in_a_later_round(
    app: Application, database: str, webhook: UUID
) -> None:
    tenant = await app.tenant()
    held_delivery, held_event = await stored_delivery(app, webhook), await stored_event(app, tenant)
    await many_deliveries(app, webhook, 1000)
    await many_events(app, tenant, 1000)
    locker = await asyncpg.connect(database)
    async with retention_of(database) as loop:
        async with locker.transaction():
            await locker.execute(
                "SELECT 1 FROM webhook_deliveries WHERE id = $1 FOR SHARE", held_delivery
            )
            await locker.execute("SELECT 1 FROM webhook_events WHERE id = $1 FOR SHARE", held_event)
            await one_round(loop)
            during = await ids_in(app, "webhook_deliveries"), await ids_in(app, "webhook_events")
        for _ in range(PASSES_PER_FULL_PASS):
            await one_round(loop)
    await locker.close()

    assert during == ({held_delivery}, {held_event})
    assert await count_in(app, "webhook_deliveries") == 0
    assert await count_in(app, "webhook_events") == 0


async def test_newly_expired_rows_are_deleted_next_and_rows_added_with_an_old_time_by_the_full_pass(
    app: Application, database: str, webhook: UUID
) -> None:
    tenant, just_now = await app.tenant(), "now() - interval '7 days 20 seconds'"
    await stored_delivery(app, webhook)
    async with retention_of(database) as loop:
        await one_round(loop)
        late = await stored_delivery(app, webhook), await stored_event(app, tenant)
        await stored_delivery(app, webhook, at=just_now)
        await stored_event(app, tenant, at=just_now)
        await one_round(loop)
        between = await ids_in(app, "webhook_deliveries"), await ids_in(app, "webhook_events")
        for _ in range(PASSES_PER_FULL_PASS - 1):
            await one_round(loop)

    assert between == ({late[0]}, {late[1]})
    assert await count_in(app, "webhook_deliveries") == 0
    assert await count_in(app, "webhook_events") == 0


async def test_small_tables_are_pruned_in_the_first_round_and_in_every_fifth(
    app: Application, database: str, webhook: UUID
) -> None:
    left: list[int] = []
    async with retention_of(database) as loop:
        for _ in range(ROUNDS_PER_ROUND_OF_ALL + 1):
            await stored_notice(app, webhook)
            await one_round(loop)
            left.append(await count_in(app, "webhook_notices"))

    assert left == [0, *range(1, ROUNDS_PER_ROUND_OF_ALL), 0]


async def test_a_table_whose_search_times_out_is_left_until_the_next_round(
    app: Application, database: str, webhook: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "daemon.maintenance.retention.STATEMENT_TIMEOUT", timedelta(milliseconds=100)
    )
    await stored_delivery(app, webhook)
    await stored_notice(app, webhook)
    locker = await asyncpg.connect(database)
    async with retention_of(database) as loop:
        with capture_logs() as logs:
            async with locker.transaction():
                await locker.execute("LOCK TABLE webhook_deliveries IN ACCESS EXCLUSIVE MODE")
                await one_round(loop)
        for _ in range(2):  # the rest of that pass, and a whole one
            await one_round(loop)
    await locker.close()

    timeouts = [each for each in logs if each["event"] == "retention.statement_timed_out"]
    assert [each["table"] for each in timeouts] == ["deliveries"] * MOST_TIMEOUTS
    assert (logs[-1]["event"], logs[-1]["notices"]) == ("rows.deleted", 1)
    assert await count_in(app, "webhook_deliveries") == 0


async def test_a_lane_whose_search_times_out_does_not_hold_up_earlier_lanes(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = await app.tenant()
    stuck, earlier = sorted([await app.webhook(tenant, "https://example.com") for _ in range(2)])
    await many_deliveries(app, stuck, 500, status="pending_retry")
    find = expired_deliveries.find

    async def find_or_time_out(db: Connection, cursor: LaneCursor, **limits: Any) -> ExpiredPage:
        if cursor.lane == stuck:
            raise StatementTimeoutError("a statement was cancelled for taking too long")
        return await find(db, cursor, **limits)

    monkeypatch.setattr(expired_deliveries, "find", find_or_time_out)
    async with retention_of(database) as loop:
        await one_round(loop)
        await stored_delivery(app, earlier)
        await one_round(loop)

    assert await count_in(app, "webhook_deliveries WHERE status = 'success'") == 0


async def test_two_loops_at_once_delete_every_row_once(
    app: Application, database: str, webhook: UUID
) -> None:
    await many_deliveries(app, webhook, 10_000, at=f"{OLD} + n * interval '1 second'")
    metrics = [Metrics(), Metrics()]
    async with (
        retention_of(database, metrics=metrics[0]) as first,
        retention_of(database, metrics=metrics[1]) as second,
        asyncio.timeout(60),
    ):
        while await count_in(app, "webhook_deliveries"):
            await asyncio.gather(one_round(first), one_round(second))

    assert sum(deleted(each) for each in metrics) == 10_000


def deleted(metrics: Metrics) -> float:
    name = b'webhookd_rows_deleted_total{table="deliveries"} '
    [line] = [line for line in metrics.render().splitlines() if line.startswith(name)]
    return float(line.removeprefix(name))


async def test_a_loop_leaves_the_round_to_another_daemon_that_is_pruning(
    app: Application, database: str, webhook: UUID
) -> None:
    await stored_delivery(app, webhook)
    other_daemon = await asyncpg.connect(database)
    async with retention_of(database) as loop:
        async with other_daemon.transaction():
            assert await retention.take_lock(other_daemon, statement_timeout=timedelta(seconds=9))
            await one_round(loop)
            during = await count_in(app, "webhook_deliveries")
        await one_round(loop)
    await other_daemon.close()

    assert during == 1
    assert await count_in(app, "webhook_deliveries") == 0


async def test_a_loop_that_has_just_started_rests_first_for_at_most_ten_seconds(
    app: Application, database: str, webhook: UUID
) -> None:
    await stored_delivery(app, webhook)
    async with retention_of(database, rest=timedelta(hours=1)) as loop:
        rest = await loop.run_once()

    assert rest == 10
    assert await count_in(app, "webhook_deliveries") == 1


async def test_only_a_round_that_deleted_rows_is_logged(
    app: Application, database: str, webhook: UUID
) -> None:
    await many_deliveries(app, webhook, 700)
    await stored_notice(app, webhook)
    async with retention_of(database) as loop:
        with capture_logs() as logs:
            await one_round(loop)
            await one_round(loop)

    assert logs == [{"event": "rows.deleted", "log_level": "info", "deliveries": 700, "notices": 1}]


async def test_a_round_continues_after_an_error(
    app: Application, database: str, webhook: UUID
) -> None:
    await many_deliveries(app, webhook, 2000)
    await stored_notice(app, webhook)
    async with retention_of(database) as loop:
        await app.db.execute("ALTER TABLE webhook_deliveries RENAME TO elsewhere")
        with pytest.raises(StatementError):
            await one_round(loop)
        await app.db.execute("ALTER TABLE elsewhere RENAME TO webhook_deliveries")
        await one_round(loop)

    assert await count_in(app, "webhook_deliveries") == 0
    assert await count_in(app, "webhook_notices") == 0


@pytest.mark.full
async def test_events_are_delivered_while_twenty_thousand_old_rows_are_deleted(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    await many_deliveries(app, webhook, 20_000, at=f"{OLD} + n * interval '1 second'")
    await many_events(app, tenant, 5000)
    published: set[UUID] = set()
    async with serving(database, retention={"deliveries": "1h", "events": "1s"}) as service:

        async def all_deleted() -> bool:
            published.update(await app.events(tenant, 20))
            return not await count_in(app, f"webhook_deliveries WHERE attempted_at < {YOUNG}")

        await until(all_deleted, every=0.02)
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


async def test_addresses_are_deleted_once_they_have_no_use(
    app: Application, database: str, tenant: UUID
) -> None:
    await stored_confirmation(app, tenant, "unused@example.com", used=OLD)
    await stored_confirmation(app, tenant, "used@example.com", used=YOUNG)
    await app.db.execute(
        "INSERT INTO webhook_mail_recipients (address, next_mail_at, leased_until) VALUES"
        f" ('over@example.com', {OLD}, NULL), ('recent@example.com', now(), NULL),"
        f" ('leased@example.com', {OLD}, now() + interval '1 minute')"
    )

    async with retention_of(database) as loop:
        await one_round(loop)

    confirmations = await app.db.fetch("SELECT address FROM webhook_email_confirmations")
    recipients = await app.db.fetch("SELECT address FROM webhook_mail_recipients")
    assert {row["address"] for row in confirmations} == {"used@example.com"}
    assert {row["address"] for row in recipients} == {"recent@example.com", "leased@example.com"}


SLOW_TO_DELETE = """
    CREATE FUNCTION take_long() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_sleep(0.06); RETURN OLD; END $$;
    CREATE TRIGGER take_long BEFORE DELETE ON webhook_events FOR EACH ROW
           WHEN (OLD.event_type = 'slow') EXECUTE FUNCTION take_long();
    CREATE FUNCTION take_for_ever() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_sleep(9); RETURN OLD; END $$;
    CREATE TRIGGER take_for_ever BEFORE DELETE ON webhook_events FOR EACH ROW
           WHEN (OLD.event_type = 'stuck') EXECUTE FUNCTION take_for_ever()
"""


async def test_rows_that_take_long_to_delete_keep_no_others_from_being_deleted(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As rows of many megabytes do; one of them takes too long even alone."""
    monkeypatch.setattr(
        "daemon.maintenance.retention.STATEMENT_TIMEOUT", timedelta(milliseconds=100)
    )
    first, last = sorted([await app.tenant(), await app.tenant()], reverse=True)
    await many_events(app, first, 5)
    await app.db.execute("UPDATE webhook_events SET event_type = 'slow'")
    stuck = await stored_event(app, first, at=f"{OLD} - interval '1 day'")
    await app.db.execute("UPDATE webhook_events SET event_type = 'stuck' WHERE id = $1", stuck)
    await app.db.execute(SLOW_TO_DELETE)
    await many_events(app, last, 30)

    async with retention_of(database) as loop:
        with capture_logs() as logs:
            for _ in range(6):
                await one_round(loop)

    assert await ids_in(app, "webhook_events") == {stuck}
    assert {each["id"] for each in logs if each["event"] == "retention.row_left_out"} == {
        str(stuck)
    }


async def test_a_tenant_with_unseen_events_keeps_no_others_from_being_pruned(
    app: Application, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scan passes each event of an open transaction before it finds the next tenant."""
    first, slow, last = sorted([await app.tenant() for _ in range(3)], reverse=True)
    for each in (first, slow, last):
        await app.webhook(each, "https://example.com")
        await many_events(app, each, 3)
    find = expired_events.find

    async def find_or_time_out(
        db: Connection, cursor: LaneCursor, *, lanes: int, **limits: Any
    ) -> ExpiredPage:
        if slow in [each for each in (first, slow, last) if each <= cursor.lane][:lanes]:
            raise StatementTimeoutError("a statement was cancelled for taking too long")
        return await find(db, cursor, lanes=lanes, **limits)

    monkeypatch.setattr(expired_events, "find", find_or_time_out)
    async with retention_of(database) as loop:
        for _ in range(4):
            await one_round(loop)

    left = await app.db.fetch("SELECT DISTINCT tenant_id FROM webhook_events")
    assert last not in {row["tenant_id"] for row in left}
