"""Notices in the database: leases, fences, and the attempts that lead to a notice."""

import time
from datetime import timedelta
from uuid import UUID

import pytest

from daemon.core.model.notices import LeasedNotice, NoticeKind
from daemon.store import notice_results, notices
from daemon.store.session import Connection
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.notifications import DAY, open_database, row_of, stored_notice, webhook
from tests.support.receiver import Received, Receiver, Reply


async def lease(db: Connection, *, hold: timedelta = DAY, limit: int = 10) -> list[LeasedNotice]:
    due = await notices.find_due(db, limit=limit, max_age=DAY)
    return await notices.lease(db, due, lease=hold)


async def test_a_notice_is_leased_once_until_the_lease_expires(app: Application) -> None:
    hook = await webhook(app)
    for _ in range(3):
        await stored_notice(app, hook)

    first, second, third = [await lease(app.db, limit=2) for _ in range(3)]

    assert (len(first), len(second), third) == (2, 1, [])
    assert {notice.tries for notice in first} == {0}


async def test_a_notice_that_another_transaction_holds_is_not_leased(
    app: Application, database: str
) -> None:
    hook = await webhook(app)
    held, free = [await stored_notice(app, hook) for _ in range(2)]
    async with open_database(database) as other, other.transaction() as db:
        await db.execute("SELECT FROM webhook_notices WHERE id = $1 FOR UPDATE", held)
        found = await notices.find_due(app.db, limit=10, max_age=DAY)
        leased = await notices.lease(app.db, found, lease=DAY)
        await notices.put_off(app.db, [(each, each.leased_at + DAY) for each in found])

    assert [notice.id for notice in found] == [held, free]
    assert [notice.id for notice in leased] == [free]
    assert not (await row_of(app, held))["held"]


async def test_the_holder_of_an_expired_lease_changes_nothing(app: Application) -> None:
    await stored_notice(app, await webhook(app))
    [expired] = await lease(app.db, hold=timedelta())
    [held] = await lease(app.db)
    before = dict(await row_of(app, held.id))

    late = await notice_results.mark_sent(app.db, [expired])
    await notice_results.retry_later(app.db, [expired], error="x", wait=DAY, max_age=DAY)
    await notice_results.give_up(app.db, [expired], error="x")
    await notices.release(app.db, [expired])

    assert not late
    assert dict(await row_of(app, held.id)) == before
    assert await notice_results.mark_sent(app.db, [held])
    assert not await notice_results.mark_sent(app.db, [held])


async def test_a_notice_of_an_unknown_kind_is_left_to_a_newer_daemon(app: Application) -> None:
    hook = await webhook(app)
    await stored_notice(app, hook, "webhook_of_the_future")
    known = [await stored_notice(app, hook, kind) for kind in NoticeKind]

    leased = await lease(app.db)

    assert [notice.id for notice in leased] == known
    assert [notice.kind for notice in leased] == list(NoticeKind)


async def are_finished(app: Application, webhook_id: UUID, count: int) -> bool:
    """Whether that many attempts are finished."""
    rows = await app.deliveries(webhook_id)
    return len([row for row in rows if row["status"] != "pending_retry"]) == count


async def test_a_leased_notice_has_the_finished_attempts_before_it(
    app: Application, database: str, receiver: Receiver
) -> None:
    def answer(_: Received) -> Reply:
        return Reply(500 if len(receiver.received) > 3 else 200)

    receiver.answer = answer
    tenant = await app.tenant()
    hook = await app.webhook(tenant, receiver.url)
    async with serving(database, delivery={"failing_after": 3}):
        for number in range(1, 7):
            await app.event(tenant)
            await until(lambda number=number: are_finished(app, hook, number))

    [leased] = await lease(app.db)
    notice = await notices.with_attempts(app.db, leased)

    assert notice.failures == 3
    assert notice.reason == "the receiver answered 500 Internal Server Error"
    assert notice.last_success_at is not None
    assert [attempt.status for attempt in notice.attempts] == [500, 500, 500, 200, 200]
    assert [attempt.at for attempt in notice.attempts] == sorted(
        (attempt.at for attempt in notice.attempts), reverse=True
    )
    assert notice.attempts[-1].error is None
    assert notice.attempts[0].error == notice.reason
    assert all(attempt.took_ms is not None for attempt in notice.attempts)


@pytest.mark.full
async def test_a_backlog_of_a_hundred_thousand_does_not_slow_a_lease_down(
    app: Application,
) -> None:
    tenant = await app.tenant()
    hook = await app.webhook(tenant, "https://receiver.test/")
    await app.db.execute(
        "INSERT INTO webhook_deliveries (webhook_id, event_id, event_created_at)"
        " SELECT $1, gen_random_uuid(), now() FROM generate_series(1, 100000)",
        hook,
    )
    await stored_notice(app, hook)

    began = time.monotonic()
    [leased] = await lease(app.db)
    notice = await notices.with_attempts(app.db, leased)
    took = time.monotonic() - began

    assert notice.attempts == ()
    assert took < 1
