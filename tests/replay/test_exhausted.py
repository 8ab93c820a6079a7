"""Exhausted deliveries are sent again: the last attempt of each event that was never delivered."""

from collections import Counter
from datetime import timedelta
from uuid import UUID

from daemon.core.model.replays import ReplaySource
from daemon.store import replay_candidates
from tests.support.aged_rows import many_deliveries
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import SHORT, nothing_pending, settled
from tests.support.postgres import most_rows_read
from tests.support.receiver import Receiver, Reply
from tests.support.replays import (
    HOUR,
    YESTERDAY,
    count,
    public_ids,
    received,
    request_for,
    start,
    until_ended,
)

# Attempts of a failing endpoint are not spaced out here: every event is to fail soon.
ONE_QUICK_RETRY = {"retry_schedule": ["10ms"], "failing_backoff": "0s"}


async def test_only_exhausted_deliveries_are_sent_again(
    app: Application, database: str, receiver: Receiver
) -> None:
    recovered = False
    receiver.answer = lambda it: Reply(200 if recovered or it.event["data"]["n"] == 0 else 500)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    exhausted = request_for(webhook, source=ReplaySource.EXHAUSTED)
    async with serving(database, delivery=ONE_QUICK_RETRY):
        events = [await app.event(tenant, {"n": n}) for n in range(6)]
        await until(lambda: settled(app, webhook, "failed", 10))
        await until(lambda: nothing_pending(app))
        recovered = True
        opened = await count(
            app, request_for(webhook, source=ReplaySource.EXHAUSTED, types=["email.*"])
        )
        clicked = await count(app, request_for(webhook, source=ReplaySource.EXHAUSTED, types=["x"]))
        await app.db.execute("DELETE FROM webhook_events")
        replay = await until_ended(app, (await start(app, exhausted)).id)
        nothing_left = await count(app, exhausted)

    times = Counter(received(receiver))
    bodies = {request.event["id"]: set[bytes]() for request in receiver.received}
    for request in receiver.received:
        bodies[request.event["id"]].add(request.body)
    replayed = [row for row in await app.deliveries(webhook) if row["replay_id"]]
    assert (opened, clicked, replay.total, replay.sent, nothing_left) == (5, 0, 5, 5, 0)
    assert times == dict(zip(public_ids(events), [1, 3, 3, 3, 3, 3], strict=True))
    assert all(len(each) == 1 for each in bodies.values())
    assert {(row["attempt_number"], row["status"]) for row in replayed} == {(3, "success")}


async def test_only_the_last_attempt_of_an_event_is_repeated(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(500)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    async with serving(database, delivery=ONE_QUICK_RETRY):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "failed", 2))
        await until_ended(app, (await start(app, request_for(webhook))).id)
        await until(lambda: settled(app, webhook, "failed", 4))
        await until(lambda: nothing_pending(app))
        receiver.answer = lambda _: Reply()
        exhausted = request_for(webhook, source=ReplaySource.EXHAUSTED)
        replay = await until_ended(app, (await start(app, exhausted)).id)

    assert (replay.total, replay.sent) == (1, 1)
    assert len(receiver.received) == 5


async def test_a_page_of_exhausted_deliveries_reads_no_other_rows_of_the_same_time(
    app: Application,
) -> None:
    webhook = await app.webhook(await app.tenant(), "https://a.example")
    await many_deliveries(app, webhook, 3000, at=f"'{YESTERDAY}'", status="failed")
    page = (webhook, YESTERDAY, UUID(int=0), YESTERDAY + HOUR, 100, None)

    assert await most_rows_read(app.db, replay_candidates.SELECT_ATTEMPTS, *page) == 100


async def test_a_delivery_with_a_pending_attempt_is_not_exhausted(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(500)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    async with serving(database):
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "failed", 1))

    assert await count(app, request_for(webhook, source=ReplaySource.EXHAUSTED)) == 0


async def test_a_window_of_exhausted_deliveries_is_of_the_times_of_their_last_attempts(
    app: Application, database: str, receiver: Receiver
) -> None:
    webhook = await app.webhook(await app.tenant(), receiver.url + "/hook")
    moment = timedelta(microseconds=1)
    since, to = YESTERDAY, YESTERDAY + HOUR
    times = [since - moment, since, to - moment, to]
    for number, at in enumerate(times):
        await app.db.execute(
            "INSERT INTO webhook_deliveries (webhook_id, event_id, event_type, payload, status,"
            " attempted_at, attempt_number, event_created_at, next_retry_at)"
            " VALUES ($1, $2, 'a.b', '{}', 'failed', $3, 6, $3, NULL)",
            *(webhook, UUID(int=number), at),
        )
    window = request_for(webhook, source=ReplaySource.EXHAUSTED, since=since, to=to)
    async with serving(database, delivery=SHORT):
        counted = await count(app, window)
        await until_ended(app, (await start(app, window)).id)

    assert counted == 2
    assert received(receiver) == public_ids([UUID(int=1), UUID(int=2)])
