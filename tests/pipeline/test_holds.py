"""While a tenant or everything is held, deliveries are made and wait; each goes out once after."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from daemon.core.model.replays import ReplayStatus
from daemon.pipeline import first_attempts
from daemon.service import Service
from tests.support.application import Application
from tests.support.daemons import (
    Daemon,
    daemon,
    free_port,
    get_json,
    metrics_of,
    serving,
    until,
)
from tests.support.deliveries import inbox_is_empty, insert_delivery, nothing_pending, settled
from tests.support.first_attempts import ONE_AT_A_TIME, Gate, publish, times
from tests.support.holds import hold, release, waiting
from tests.support.receiver import Receiver, Reply
from tests.support.replays import (
    get_replay,
    received,
    request_for,
    start,
    store_events,
    until_ended,
)


async def test_a_held_tenant_waits_whole_while_another_is_delivered_to(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_attempts, "QUEUED_SECONDS", 60.0)  # only the hold ends the wait
    tenant, other = await app.tenant(), await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/held")
    neighbour = await app.webhook(other, receiver.url + "/other")
    answer = asyncio.Event()
    gate = Gate(receiver, first=Reply(when=answer))
    later = await insert_delivery(app, webhook, payload='{"n": 20}')
    async with serving(database, delivery=ONE_AT_A_TIME):
        await publish(app, tenant, 15)
        await until(lambda: receiver.open_now == 1)
        await hold(app, tenant)
        await until(lambda: settled(app, webhook, "pending_retry", 15))  # 14 waited in memory
        await app.db.execute(
            "UPDATE webhook_deliveries SET next_retry_at = now() WHERE id = $1", later
        )
        gate.open()
        answer.set()  # what is under way ends, and counts
        await until(lambda: settled(app, webhook, "success", 1))
        await publish(app, tenant, 5, first=15)
        await until(lambda: inbox_is_empty(app))
        await until(lambda: all_due(app))
        await publish(app, other, 5)
        await until(lambda: settled(app, neighbour, "success", 5))
        sent, held = len(receiver.at("/held")), await waiting(app)
        await release(app, tenant)
        await until(lambda: nothing_pending(app))

    assert (sent, held) == (1, 20)
    assert times(receiver, "/held") == dict.fromkeys(range(21), 1)
    assert times(receiver, "/other") == dict.fromkeys(range(5), 1)
    assert (await app.health(webhook))["consecutive_failures"] == 0


@pytest.mark.full
async def test_everything_is_held_for_all_daemons_and_survives_their_deaths(
    app: Application, database: str, receiver: Receiver, tmp_path: Path
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/held")
    log = tmp_path / "log"
    async with two_daemons(database, tmp_path, log) as (first, second):
        await hold(app, reason="an incident")
        for each in (first, second):
            await until(lambda it=each: says_held(it))
        await publish(app, tenant, 10)
        await until(lambda: settled(app, webhook, "pending_retry", 10))
        await first.kill()
        await publish(app, tenant, 10, first=10)
        await until(lambda: settled(app, webhook, "pending_retry", 20))
        await second.kill()
    async with daemon(database, tmp_path, port=free_port(), log=log) as third:
        await until(lambda: says_held(third))
        ready, held = await third.ready(), await third.metric("webhookd_everything_held")
        sent = len(receiver.received)
        await release(app)
        await until(lambda: nothing_pending(app))
        await until(lambda: is_released(third))
        await until(lambda: "deliveries.released" in log.read_text())

    assert (ready, held, sent) == (200, 1.0, 0)
    assert times(receiver, "/held") == dict.fromkeys(range(20), 1)
    text = log.read_text()
    assert text.count("deliveries.held") == 3
    assert "an incident" in text
    assert "released_by" in text


async def test_a_replay_waits_with_its_tenant_and_ends_after_the_release(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    await store_events(app, tenant, 60)
    is_held = asyncio.Event()
    receiver.answer = lambda _: Reply(when=is_held if len(receiver.received) > 5 else None)
    async with serving(database) as service:
        replay = await start(app, request_for(webhook))
        await until(lambda: len(receiver.received) >= 5)
        await hold(app, tenant)
        await until(lambda: holds_of(service, tenants=1))
        is_held.set()
        await until(lambda: nothing_under_way(app))
        sent = len(receiver.received)
        running = await get_replay(app, replay.id)
        page = await metrics_of(service)
        await release(app, tenant)
        ended = await until_ended(app, replay.id)

    assert (running.status, sent < 60) == (ReplayStatus.RUNNING, True)
    assert "webhookd_tenants_held 1.0" in page
    assert ended.status is ReplayStatus.COMPLETED
    assert set(Counter(received(receiver)).values()) == {1}
    assert len(received(receiver)) == 60


@asynccontextmanager
async def two_daemons(
    database: str, folder: Path, log: Path
) -> AsyncIterator[tuple[Daemon, Daemon]]:
    async with AsyncExitStack() as running:
        first, second = [
            await running.enter_async_context(daemon(database, folder, port=free_port(), log=log))
            for _ in range(2)
        ]
        yield first, second


async def says_held(running: Daemon) -> bool:
    return _holds(await running.readyz())["everythingSince"] is not None


async def is_released(running: Daemon) -> bool:
    return _holds(await running.readyz())["everythingSince"] is None


async def holds_of(service: Service, *, tenants: int) -> bool:
    answer = await asyncio.to_thread(get_json, f"http://127.0.0.1:{service.port}/readyz")
    return bool(_holds(answer)["tenants"] == tenants)


def _holds(answer: tuple[int, Any]) -> Any:
    return answer[1]["checks"]["holds"]


async def nothing_under_way(app: Application) -> bool:
    leased = await app.db.fetchval(
        "SELECT count(*) FROM webhook_deliveries"
        " WHERE status = 'pending_retry' AND leased_until > now()"
    )
    return bool(leased == 0)


async def all_due(app: Application) -> bool:
    later = await app.db.fetchval(
        "SELECT count(*) FROM webhook_deliveries"
        " WHERE status = 'pending_retry' AND next_retry_at > now()"
    )
    return bool(later == 0)
