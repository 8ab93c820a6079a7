"""Replays share slots, windows and daemons with each other."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

import asyncpg
import pytest

from daemon.core.model.replays import ReplayStatus
from daemon.service import Service
from tests.support.application import Application
from tests.support.daemons import get_json, metrics_of, serving, until
from tests.support.receiver import Receiver, Reply
from tests.support.replays import (
    get_replay,
    public_ids,
    received,
    request_for,
    start,
    store_events,
    until_ended,
)

# Responses are held until both of two daemons send, which may take long on a busy machine.
PATIENT = {"timeout": "30s"}


async def test_a_failing_endpoint_is_sent_one_delivery_at_a_time_and_each_is_retried_on_schedule(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(500, after=0.02)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    await app.db.execute("UPDATE webhooks SET consecutive_failures = 1 WHERE id = $1", webhook)
    ids = await store_events(app, tenant, 10)
    async with serving(database, delivery={"retry_schedule": ["1h"], "failing_backoff": "0s"}):
        replay = await start(app, request_for(webhook))
        replay = await until_ended(app, replay.id)

    rows = await app.deliveries(webhook)
    firsts = [row for row in rows if row["attempt_number"] == 1]
    seconds = [row for row in rows if row["attempt_number"] == 2]
    assert receiver.open_most == 1
    assert received(receiver) == sorted(public_ids(ids))
    assert {row["status"] for row in firsts} == {"failed"}
    assert {row["status"] for row in seconds} == {"pending_retry"}
    assert (len(seconds), replay.sent) == (10, 10)


@pytest.mark.full
async def test_several_replays_run_side_by_side_and_are_counted(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhooks = [await app.webhook(tenant, f"{receiver.url}/{n}") for n in range(8)]
    ids = await store_events(app, tenant, 40)
    async with serving(database, delivery={"concurrency": 8}) as service:
        begun = [await start(app, request_for(webhook)) for webhook in webhooks]
        ended = [await until_ended(app, replay.id) for replay in begun]
        page = await metrics_of(service, showing="webhookd_replayed_deliveries_total 320.0")

    assert {replay.status for replay in ended} == {ReplayStatus.COMPLETED}
    for number in range(8):
        assert received(receiver, f"/{number}") == sorted(public_ids(ids))
    assert "webhookd_commit_to_send_seconds_count 0.0" in page  # old events are not late ones


async def test_a_replay_fills_at_most_half_of_the_endpoints_window(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(after=0.05)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    ids = await store_events(app, tenant, 80)
    async with serving(database, delivery={"per_endpoint": 8}):
        await until_ended(app, (await start(app, request_for(webhook))).id)

    assert receiver.open_most <= 4
    assert received(receiver) == sorted(public_ids(ids))


async def test_two_daemons_share_replays_and_send_each_event_once(
    app: Application, database: str, receiver: Receiver
) -> None:
    both_send = asyncio.Event()
    receiver.answer = lambda _: Reply(when=both_send)
    tenant = await app.tenant()
    webhooks = [await app.webhook(tenant, f"{receiver.url}/{n}") for n in range(3)]
    ids = await store_events(app, tenant, 400)
    async with AsyncExitStack() as stack:
        services = [
            await stack.enter_async_context(serving(database, delivery=PATIENT)) for _ in range(2)
        ]
        begun = [await start(app, request_for(webhook)) for webhook in webhooks]
        await until(lambda: all_send(services))
        both_send.set()
        for replay in begun:
            await until_ended(app, replay.id)
        sent = [await value(each, "webhookd_replayed_deliveries_total") for each in services]

    for number in range(3):
        assert received(receiver, f"/{number}") == sorted(public_ids(ids))
    assert sum(sent) == 1200
    assert min(sent) > 0


async def all_send(services: Sequence[Service]) -> bool:
    return all([await value(each, "webhookd_in_flight") > 0 for each in services])


async def value(service: Service, name: str) -> float:
    [line] = [
        line for line in (await metrics_of(service)).splitlines() if line.startswith(f"{name} ")
    ]
    return float(line.split()[1])


@pytest.mark.full
async def test_replays_to_slow_endpoints_leave_slots_to_others(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda request: Reply(after=1.0 if request.path == "/slow" else 0.0)
    one, other = await app.tenant(), await app.tenant()
    await store_events(app, one, 500)
    await store_events(app, other, 20)
    slow = [await app.webhook(one, receiver.url + "/slow") for _ in range(3)]
    quick = await app.webhook(other, receiver.url + "/quick")
    async with serving(database, delivery={"concurrency": 32}):
        ahead = [await start(app, request_for(webhook)) for webhook in slow]
        await until(lambda: receiver.open_now >= 6)
        await until_ended(app, (await start(app, request_for(quick))).id)
        most = receiver.open_now
        statuses = {(await get_replay(app, each.id)).status for each in ahead}

    assert len(receiver.at("/quick")) == 20
    assert statuses == {ReplayStatus.RUNNING}
    assert most <= 8  # a quarter of the slots


async def test_a_replay_runs_beside_hundreds_that_cannot(
    app: Application, database: str, receiver: Receiver
) -> None:
    one, other = await app.tenant(), await app.tenant()
    await store_events(app, one, 5)
    await store_events(app, other, 5)
    for _ in range(220):
        stuck = await app.webhook(one, receiver.url + "/stuck")
        await start(app, request_for(stuck))
    await app.db.execute("""UPDATE webhooks SET event_filters = '{"filters": 5}'""")
    quick = await app.webhook(other, receiver.url + "/quick")
    async with serving(database):
        ended = await until_ended(app, (await start(app, request_for(quick))).id)

    assert (ended.status, ended.sent) == (ReplayStatus.COMPLETED, 5)
    assert receiver.at("/stuck") == []


async def test_events_that_others_have_locked_stop_no_replay_of_another_tenant(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenants = [await app.tenant() for _ in range(2)]
    of_locked = [await app.webhook(tenants[0], f"{receiver.url}/{n}") for n in range(3)]
    other = await app.webhook(tenants[1], f"{receiver.url}/other")
    locked, free = [await store_events(app, each, 5) for each in tenants]
    locker = await asyncpg.connect(database)
    await locker.execute("BEGIN")
    await locker.fetch("SELECT FROM webhook_events WHERE id = ANY ($1) FOR UPDATE", locked)
    async with serving(database) as service:
        waiting = [await start(app, request_for(each)) for each in of_locked]
        done = await until_ended(app, (await start(app, request_for(other))).id)
        ready, _ = await asyncio.to_thread(get_json, f"http://127.0.0.1:{service.port}/readyz")
        await locker.execute("ROLLBACK")
        later = [await until_ended(app, each.id) for each in waiting]
    await locker.close()

    assert (done.sent, done.status, ready) == (len(free), ReplayStatus.COMPLETED, 200)
    assert [each.sent for each in later] == [len(locked)] * 3
    came = [each.event["id"] for each in receiver.received]
    assert sorted(came) == sorted(public_ids([*locked * 3, *free]))
