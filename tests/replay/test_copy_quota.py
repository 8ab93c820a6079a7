"""Replays and retries of large events do not fill the disk."""

import json
import random
import string

from daemon.core.model.replays import ReplayStatus
from tests.support.api_client import serving_api
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver
from tests.support.replays import get_replay, request_for, start, store_events, until_ended

# PostgreSQL hardly compresses it.
LARGE = "".join(random.Random(7).choices(string.ascii_letters + string.digits, k=400_000))
EVENTS = 8


async def test_a_tenants_replays_and_retries_wait_once_they_have_copied_a_days_amount(
    app: Application, database: str, receiver: Receiver
) -> None:
    """Three of the events exceed one MiB; replays of others, and new events, go on."""
    tenant, other = await app.tenant(), await app.tenant()
    webhook = await app.webhook(tenant, f"{receiver.url}/large", types=["email.opened"])
    others = await app.webhook(other, f"{receiver.url}/small")
    await store_events(app, tenant, EVENTS, data=json.dumps({"text": LARGE}))
    await store_events(app, other, EVENTS)
    limits = {"replayed_mib_per_day": 1}

    async def has_sent(least: int) -> bool:
        return (await get_replay(app, replay.id)).sent >= least

    async with serving_api(database, tenant, limits=limits) as api:
        replay = await start(app, request_for(webhook))
        await until(lambda: has_sent(3))
        other_replay = await start(app, request_for(others))
        other_replay = await until_ended(app, other_replay.id)
        replay = await get_replay(app, replay.id)
        [delivery, *_] = await app.deliveries(webhook)
        refused = await api.post(f"/api/deliveries/{delivery['id']}/retry")
        await app.event(tenant, {"text": "new"})
        await until(lambda: settled(app, webhook, "success", replay.sent + 1))

    assert replay.status == ReplayStatus.RUNNING
    assert 3 <= replay.sent < EVENTS
    assert (other_replay.status, other_replay.sent) == (ReplayStatus.COMPLETED, EVENTS)
    assert refused.status == 429
    assert int(refused.headers["Retry-After"]) > 60


async def test_within_the_usual_amount_large_events_are_replayed_whole(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    await store_events(app, tenant, EVENTS, data=json.dumps({"text": LARGE}))
    async with serving_api(database, tenant) as api:
        replay = await start(app, request_for(webhook))
        replay = await until_ended(app, replay.id)
        [delivery, *_] = await app.deliveries(webhook)
        retried = await api.post(f"/api/deliveries/{delivery['id']}/retry")
        await until(lambda: settled(app, webhook, "success", EVENTS + 1))

    assert (replay.status, replay.sent) == (ReplayStatus.COMPLETED, EVENTS)
    assert retried.status == 202
