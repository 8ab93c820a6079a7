"""Replays are cancelled, listed, and deleted with their webhook."""

import asyncio
from collections import Counter
from uuid import uuid4

from daemon.core.model.cursor import Cursor
from daemon.core.model.ids import ReplayId, TenantId, WebhookId
from daemon.core.model.replays import ReplayStatus
from daemon.replay.count import count_replay
from daemon.store import replays
from tests.support.application import Application
from tests.support.daemons import serving, until
from tests.support.deliveries import nothing_pending
from tests.support.receiver import Receiver, Reply
from tests.support.replays import (
    HOUR,
    KEPT_FOR,
    YESTERDAY,
    cancel,
    get_replay,
    request_for,
    start,
    store_events,
    until_ended,
)


async def test_a_cancelled_replay_finishes_attempts_in_flight_and_starts_no_more(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    await store_events(app, tenant, 1000)
    async with serving(database):
        replay = await start(app, request_for(webhook))
        await until(lambda: len(receiver.received) >= 50)
        may_end = asyncio.Event()
        receiver.answer = lambda _: Reply(when=may_end)
        await until(lambda: receiver.open_now >= 2)
        cancelled = await cancel(app, replay.id)
        may_end.set()
        await until(lambda: nothing_pending(app))
        ended = await get_replay(app, replay.id)
        again = await cancel(app, replay.id)

    stored = Counter(row["status"] for row in await app.deliveries(webhook))
    assert cancelled.status is ReplayStatus.CANCELLED
    assert cancelled.sent < ended.sent < 1000
    assert stored == {"success": ended.sent}
    assert len(receiver.received) == ended.sent
    assert again == ended


async def test_cancelling_deletes_only_the_replays_deliveries_that_were_never_attempted(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    await store_events(app, tenant, 5)
    replay = await start(app, request_for(webhook))
    made = (
        "INSERT INTO webhook_deliveries (webhook_id, event_id, event_created_at, replay_id,"
        " leased_until) VALUES ($1, gen_random_uuid(), now(), $2, $3)"
    )
    await app.db.execute(made, webhook, replay.id, None)
    await app.db.execute(made, webhook, replay.id, YESTERDAY)  # claimed by a daemon that died
    await app.db.execute(made, webhook, None, None)
    await app.db.execute("UPDATE webhook_replays SET made = 2 WHERE id = $1", replay.id)

    cancelled = await cancel(app, replay.id)

    left = [(row["replay_id"], row["leased_until"]) for row in await app.deliveries(webhook)]
    assert cancelled.sent == 0
    assert sorted(left, key=str) == sorted([(None, None), (replay.id, YESTERDAY)], key=str)


async def test_a_completed_replay_cannot_be_cancelled(
    app: Application, database: str, receiver: Receiver
) -> None:
    webhook = await app.webhook(await app.tenant(), receiver.url)
    async with serving(database):
        replay = await until_ended(app, (await start(app, request_for(webhook))).id)

    assert await cancel(app, replay.id) == replay
    assert (replay.status, replay.total, replay.sent) == (ReplayStatus.COMPLETED, 0, 0)
    assert await replays.cancel(app.db, None, ReplayId(uuid4())) is None


async def test_the_replays_of_a_deleted_webhook_are_deleted(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    counted = await count_replay(app.db, request_for(webhook), kept_for=KEPT_FOR)
    assert counted is not None
    replay = await start(app, request_for(webhook))
    await app.db.execute("DELETE FROM webhooks WHERE id = $1", webhook)

    assert await replays.create(app.db, counted) is None
    assert await replays.get(app.db, None, replay.id) is None
    assert await replays.cancel(app.db, None, replay.id) is None


async def test_the_replays_of_a_webhook_are_listed_newest_first(app: Application) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, "https://a.example")
    begun = [await start(app, request_for(webhook, since=YESTERDAY + n * HOUR)) for n in range(3)]

    tenant_id, webhook_id = TenantId(tenant), WebhookId(webhook)
    listed, following = await replays.list_page(
        app.db, tenant_id, webhook_id=webhook_id, before=Cursor(), limit=2
    )
    assert following is not None
    rest = await replays.list_page(app.db, tenant_id, before=following, limit=2)

    assert listed == [begun[2], begun[1]]
    assert rest == ([begun[0]], None)
