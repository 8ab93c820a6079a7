"""A replay waits while it cannot go on, resumes where it was, and shows its progress."""

import asyncio
from datetime import UTC, datetime

from daemon.core.model.replays import ReplayStatus
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import nothing_leased, settled
from tests.support.receiver import Receiver, Reply
from tests.support.replays import (
    HOUR,
    get_replay,
    public_ids,
    received,
    request_for,
    set_active,
    start,
    store_events,
    until_ended,
)


async def test_the_replay_of_a_paused_webhook_waits_until_it_is_resumed(
    app: Application, database: str, receiver: Receiver
) -> None:
    is_paused = asyncio.Event()
    receiver.answer = lambda _: Reply(when=is_paused if len(receiver.received) > 20 else None)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    ids = await store_events(app, tenant, 200)
    async with serving(database):
        replay = await start(app, request_for(webhook))
        await until(lambda: len(receiver.received) >= 20)
        await set_active(app, webhook, False)
        is_paused.set()
        await until(lambda: nothing_leased(app))
        waiting, sent = await get_replay(app, replay.id), len(receiver.received)
        await set_active(app, webhook, True)
        replay = await until_ended(app, replay.id)

    assert (waiting.status, waiting.paused, waiting.sent) == (ReplayStatus.RUNNING, True, sent)
    assert 20 <= sent < 200
    assert received(receiver) == sorted(public_ids(ids))
    assert not replay.paused


async def test_events_missed_during_a_pause_are_sent_by_a_replay(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    other = await app.webhook(tenant, receiver.url + "/other")
    async with serving(database):
        await set_active(app, webhook, False)
        paused_at = datetime.now(UTC) - HOUR
        missed = await app.events(tenant, 30)
        await until(lambda: settled(app, other, "success", 30))
        await set_active(app, webhook, True)
        replay = await start(app, request_for(webhook, since=paused_at))
        await until_ended(app, replay.id)

    assert received(receiver) == sorted(public_ids(missed))


async def test_a_replay_waits_while_the_webhooks_filter_is_unusable(
    app: Application, database: str, receiver: Receiver
) -> None:
    is_unusable = asyncio.Event()
    receiver.answer = lambda _: Reply(when=is_unusable if len(receiver.received) > 20 else None)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    ids = await store_events(app, tenant, 200)
    change = "UPDATE webhooks SET event_filters = $2 WHERE id = $1"
    async with serving(database):
        replay = await start(app, request_for(webhook))
        await until(lambda: len(receiver.received) >= 20)
        await app.db.execute(change, webhook, '{"colour": "blue"}')
        is_unusable.set()
        await until(lambda: nothing_leased(app))
        half_way = await get_replay(app, replay.id)
        await app.db.execute(change, webhook, None)
        await until_ended(app, replay.id)

    assert (half_way.status, half_way.sent < 200) == (ReplayStatus.RUNNING, True)
    assert received(receiver) == sorted(public_ids(ids))


async def test_progress_grows_from_zero_to_the_total(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(after=0.01)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    await store_events(app, tenant, 100)
    first = await start(app, request_for(webhook))
    seen = [first]
    async with serving(database):
        while seen[-1].status is ReplayStatus.RUNNING:
            seen.append(await get_replay(app, first.id))

    assert (first.begun, first.sent, seen[-1].begun) == (False, 0, True)
    assert [each.sent for each in seen] == sorted(each.sent for each in seen)
    assert {each.total for each in seen} == {100}
    assert seen[-1].sent == 100


async def test_a_replay_continues_where_the_previous_daemon_stopped(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(after=0.01)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    ids = await store_events(app, tenant, 300)
    replay = await start(app, request_for(webhook))
    for share in (60, 120):
        async with serving(database):
            await until(lambda share=share: len(receiver.received) >= share)
    between = await get_replay(app, replay.id)
    async with serving(database):
        await until_ended(app, replay.id)

    assert (between.status, between.sent < 300) == (ReplayStatus.RUNNING, True)
    assert received(receiver) == sorted(public_ids(ids))
