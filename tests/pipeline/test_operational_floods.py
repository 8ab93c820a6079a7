"""Operational events in numbers: many subscribers, floods, locked rows, and daemons that die."""

from collections import Counter
from pathlib import Path

import asyncpg
import pytest
from structlog.testing import capture_logs

from daemon.core.scheduling import operational_pace
from tests.support.application import Application
from tests.support.daemons import daemon, free_port, serving, until
from tests.support.deliveries import nothing_pending, settled
from tests.support.operational import (
    QUICK,
    all_sent,
    fail,
    failing_at,
    nothing_waiting,
    of_type,
    scoped_webhook,
    types,
    waiting,
)
from tests.support.receiver import Receiver


async def test_a_locked_subscriber_gets_its_event_later_and_delays_no_other(
    app: Application, database: str, receiver: Receiver
) -> None:
    failing_at(receiver, "/down")
    tenant = await app.tenant()
    down = await app.webhook(tenant, f"{receiver.url}/down", types=["email.opened"])
    locked = await scoped_webhook(app, tenant, f"{receiver.url}/locked", "account")
    await scoped_webhook(app, tenant, f"{receiver.url}/free", "account")
    other = await asyncpg.connect(database)
    async with serving(database, delivery=QUICK):
        async with other.transaction():
            await other.execute("SELECT FROM webhooks WHERE id = $1 FOR UPDATE", locked)
            await app.event(tenant)
            await until(lambda: receiver.at("/free"))
            assert await settled(app, down, "failed", 1)
            assert await waiting(app) == 1
        await until(lambda: receiver.at("/locked"))
        await until(lambda: all_sent(app))
    await other.close()

    assert len(receiver.at("/free")) == len(receiver.at("/locked")) == 1


async def test_every_one_of_many_subscribers_gets_an_event_once(
    app: Application, database: str, receiver: Receiver
) -> None:
    failing_at(receiver, "/down")
    tenant = await app.tenant()
    down = await app.webhook(tenant, f"{receiver.url}/down", types=["email.opened"])
    subscribers = {
        await scoped_webhook(
            app, tenant, f"{receiver.url}/many", "operator" if number % 2 else "account"
        )
        for number in range(120)
    }
    async with serving(database, delivery=QUICK), serving(database, delivery=QUICK):
        await fail(app, tenant, down, 2)
        await until(lambda: nothing_waiting(app))
        await until(lambda: nothing_pending(app))

    rows = await app.db.fetch(
        "SELECT webhook_id, event_id FROM webhook_deliveries WHERE webhook_id <> $1", down
    )
    pairs = Counter((row["webhook_id"], row["event_id"]) for row in rows)
    assert {webhook for webhook, _ in pairs} == subscribers
    assert set(pairs.values()) == {1}
    assert len(pairs) == 3 * 120


async def test_a_flood_of_one_tenant_is_merged_and_another_tenants_event_comes_through(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operational_pace, "MOST_PER_MINUTE", 20)
    monkeypatch.setattr(operational_pace, "WINDOW_SECONDS", 2.0)
    failing_at(receiver, "/down", "/quiet")
    tenant, quiet, operators = [await app.tenant() for _ in range(3)]
    webhooks = [await app.webhook(tenant, f"{receiver.url}/down") for _ in range(4)]
    other = await app.webhook(quiet, f"{receiver.url}/quiet")
    await scoped_webhook(
        *(app, operators, f"{receiver.url}/operator", "operator"), types=["delivery.exhausted"]
    )
    await scoped_webhook(
        *(app, operators, f"{receiver.url}/health", "operator"), types=["webhook.*"]
    )
    settings = QUICK | {"pause_after": 100_000, "failing_after": 50}
    async with serving(database, delivery=settings):
        await app.events(tenant, 100)
        await app.event(quiet)
        for webhook, count in (*((each, 100) for each in webhooks), (other, 1)):
            await until(lambda w=webhook, c=count: settled(app, w, "failed", c))
        await until(lambda: all_sent(app))

    events = of_type(receiver.at("/operator"), "delivery.exhausted")
    counts = Counter[str]()
    for each in events:
        counts[each["webhook_id"]] += each["count"]
    assert counts == {str(other): 1} | {str(each): 100 for each in webhooks}
    assert len(events) < 200
    assert max(each["count"] for each in events) > 1
    # Each type has its own share.
    health = of_type(receiver.at("/health"), "webhook.failing")
    assert sorted((each["webhook_id"], each["count"]) for each in health) == sorted(
        (str(each), 1) for each in webhooks
    )


async def test_what_cannot_be_written_together_with_its_event_is_not_written(
    app: Application, database: str, receiver: Receiver
) -> None:
    failing_at(receiver, "/down")
    tenant = await app.tenant()
    down = await app.webhook(tenant, f"{receiver.url}/down", types=["email.opened"])
    await scoped_webhook(app, tenant, f"{receiver.url}/pager", "account")
    await app.db.execute(
        "ALTER TABLE webhook_operational_events ADD CONSTRAINT none CHECK (false) NOT VALID"
    )
    # Tracebacks would be printed with all local variables, which takes seconds.
    with capture_logs() as logs:
        async with serving(database, delivery=QUICK):
            await app.event(tenant)
            await until(lambda: any(each["event"] == "result.put_aside" for each in logs))
            held = await app.db.fetchval("SELECT count(*) FROM webhook_event_inbox")
            rows, health = await app.deliveries(down), await app.health(down)
            await app.db.execute("ALTER TABLE webhook_operational_events DROP CONSTRAINT none")
            await until(lambda: receiver.at("/pager"))
            await until(lambda: all_sent(app))

    assert (held, rows, health["consecutive_failures"]) == (1, [], 0)
    assert types(receiver.at("/pager")) == {"delivery.exhausted": 1}
    assert len(await app.deliveries(down)) == 1


@pytest.mark.full
async def test_no_event_is_lost_or_doubled_by_daemons_that_are_killed(
    app: Application, database: str, receiver: Receiver, tmp_path: Path
) -> None:
    failing_at(receiver, "/down")
    tenant = await app.tenant()
    webhooks = [
        await app.webhook(tenant, f"{receiver.url}/down", types=["email.opened"]) for _ in range(3)
    ]
    await scoped_webhook(app, tenant, f"{receiver.url}/pager", "account")
    settings = '[delivery]\nretry_schedule = []\npause_after = 100000\nfailing_backoff = "0s"\n'
    port = free_port()
    for failed in (5, 15):
        async with daemon(database, tmp_path, settings=settings, port=port) as running:
            await app.events(tenant, 10)
            await until(lambda failed=failed: settled(app, webhooks[0], "failed", failed))
            await running.kill()
        await app.db.execute("UPDATE webhook_event_inbox SET leased_until = now()")
        await app.db.execute(
            "UPDATE webhook_deliveries SET leased_until = now() WHERE status = 'pending_retry'"
        )
    async with daemon(database, tmp_path, settings=settings, port=port):
        for each in webhooks:
            await until(lambda each=each: settled(app, each, "failed", 20))
        await until(lambda: all_sent(app))

    rows = await app.db.fetch(
        "SELECT DISTINCT event_id, event_type, payload FROM webhook_deliveries"
        " WHERE event_type LIKE '%.%' AND payload::jsonb ? 'webhook_id'"
    )
    counts = Counter[str]()
    for row in rows:
        counts[row["event_type"]] += int(
            await app.db.fetchval("SELECT ($1::jsonb ->> 'count')::int", row["payload"])
        )
    assert counts == {"webhook.failing": 3, "delivery.exhausted": 60}
