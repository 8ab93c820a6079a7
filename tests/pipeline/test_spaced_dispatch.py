"""What the dispatcher, the result writer and the listener do for an endpoint that is failing."""

import asyncio
import time
from datetime import timedelta
from uuid import uuid4

import pytest

from daemon.core.model.attempts import AttemptResult, Claim, Outcome, Response, Verdict
from daemon.core.model.ids import TenantId, WebhookId
from daemon.pipeline.listener import Listener
from daemon.runtime.loop import Heartbeats, run_loop
from daemon.runtime.metrics import Metrics
from daemon.store.notification_queue import notify_due
from tests.pipeline.test_dispatcher import (
    Running,
    ScriptedAttempts,
    count,
    deliver,
    has_delivered,
    insert_pending,
    running,
)
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.failing import set_failing

TENANT = TenantId(uuid4())


@pytest.fixture
async def webhook(app: Application) -> WebhookId:
    return WebhookId(await app.webhook(await app.tenant(), "https://receiver.example/"))


async def refuse(claim: Claim) -> AttemptResult:
    verdict = Verdict(delivered=False, status=503, error="no", retry_in=None)
    return AttemptResult(claim, Outcome(Response(503, (), "no"), took_ms=1), verdict, "sha256=0")


def seconds_to_probe(parts: Running, webhook: WebhookId) -> float:
    lane = parts.lanes._lanes.get(webhook)
    return 0.0 if lane is None else lane.spaced_until - time.monotonic()


async def test_a_lane_sleeps_until_the_next_probe(
    app: Application, database: str, webhook: WebhookId
) -> None:
    await set_failing(app, webhook)
    await insert_pending(app, webhook, 5)
    attempts = ScriptedAttempts(deliver)
    async with running(database, attempts) as parts:
        parts.waker.announce(webhook, 0.0, None, tenant_id=TENANT)
        await until(lambda: seconds_to_probe(parts, webhook) > 3000)
        parts.waker.announce(webhook, 0.0, None, tenant_id=TENANT)

        assert parts.lanes.ready == 0
        assert attempts.made == 0


async def test_the_result_of_a_probe_sets_the_next_one_in_the_lane_too(
    app: Application, database: str, webhook: WebhookId
) -> None:
    await set_failing(app, webhook, probe_in=timedelta(0))
    await app.db.execute("UPDATE webhooks SET failed_probes = 4")
    await insert_pending(app, webhook, 2)
    async with running(database, ScriptedAttempts(refuse)) as parts:
        parts.waker.announce(webhook, 0.0, None, tenant_id=TENANT)
        await until(lambda: count(app, "status = 'failed'"))
        await until(lambda: parts.results.backlog == 0)

        assert 0 < seconds_to_probe(parts, webhook) <= 32  # its lease would be 30 s
        assert (await app.health(webhook))["failed_probes"] == 5
        assert await count(app, "status = 'failed'") == 1


async def test_a_success_opens_the_lane_for_all_that_waits(
    app: Application, database: str, webhook: WebhookId
) -> None:
    await set_failing(app, webhook, probe_in=timedelta(0))
    await insert_pending(app, webhook, 50)
    async with running(database, ScriptedAttempts(deliver)) as parts:
        parts.waker.announce(webhook, 0.0, None, tenant_id=TENANT)
        await until(lambda: has_delivered(app, 50))


async def test_a_success_in_another_daemon_ends_the_wait_in_this_one(
    app: Application, database: str, webhook: WebhookId
) -> None:
    await set_failing(app, webhook)
    await insert_pending(app, webhook, 5)
    async with running(database, ScriptedAttempts(deliver)) as parts:
        listener = Listener(
            parts.database,
            Metrics(),
            wake_fanout=asyncio.Event(),
            waker=parts.waker,
            daemon_key=1,
        )
        stop = asyncio.Event()
        listening = asyncio.create_task(run_loop(listener, stop=stop, heartbeats=Heartbeats()))
        await until(lambda: listener._notifications.is_open)
        parts.waker.announce(webhook, 0.0, None, tenant_id=TENANT)
        await until(lambda: seconds_to_probe(parts, webhook) > 3000)

        async with app.db.transaction():
            await app.db.execute("UPDATE webhooks SET is_failing = false, next_probe_at = NULL")
            await notify_due(app.db, [webhook])
        await until(lambda: has_delivered(app, 5))

        stop.set()
        listener.wake.set()
        await listening
        await listener.close()


async def test_a_late_failure_of_another_run_neither_counts_as_probe_nor_moves_the_next(
    app: Application, database: str, webhook: WebhookId
) -> None:
    began, is_failing = asyncio.Event(), asyncio.Event()

    async def refuse_late(claim: Claim) -> AttemptResult:
        began.set()
        await is_failing.wait()
        return await refuse(claim)

    await insert_pending(app, webhook, 1)
    async with running(database, ScriptedAttempts(refuse_late)) as parts:
        parts.waker.announce(webhook, 0.0, None, tenant_id=TENANT)
        await began.wait()
        await set_failing(app, webhook, failures=200)
        is_failing.set()
        await until(lambda: count(app, "status = 'failed'"))

    health = await app.health(webhook)
    assert (health["is_active"], health["consecutive_failures"]) == (True, 201)
    assert health["failed_probes"] == 0
    left = health["next_probe_at"] - health["failing_since"]
    assert left == timedelta(hours=1)
