"""Events whose fan-out was interrupted: what they still owe, whatever else their tenant has."""

import pytest
from structlog.testing import capture_logs

from daemon.core.errors import STATEMENT_FAILURES
from daemon.pipeline import fanout, interrupted_events
from daemon.store import deliveries, subscriptions
from tests.support.application import Application
from tests.support.daemons import metrics_of, serving, until
from tests.support.deliveries import inbox_is_empty, settled
from tests.support.receiver import Receiver
from tests.support.samples import samples

NESTED = "[" * 16_000 + "]" * 16_000


async def interrupt(app: Application) -> None:
    """What waits was leased before, by a daemon that was killed."""
    await app.db.execute("UPDATE webhook_event_inbox SET leases = 1")


async def test_filters_that_nest_too_deep_stop_no_interrupted_event(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant, other = await app.tenant(), await app.tenant()
    deep = await app.webhook(tenant, receiver.url + "/deep")
    good = await app.webhook(tenant, receiver.url + "/good")
    elsewhere = await app.webhook(other, receiver.url + "/other")
    for each in (tenant, other):
        await app.event(each)
    await interrupt(app)
    await app.db.execute(
        "UPDATE webhooks SET event_filters = $2, is_active = false WHERE id = $1", deep, NESTED
    )
    await app.db.execute("UPDATE webhooks SET paused_at = 'infinity' WHERE id = $1", deep)
    async with serving(database):
        for webhook in (good, elsewhere):
            await until(lambda webhook=webhook: settled(app, webhook, "success", 1))
        await until(lambda: inbox_is_empty(app))

    assert await app.deliveries(deep) == []


@pytest.mark.parametrize("error", STATEMENT_FAILURES)
@pytest.mark.parametrize("which", ["paused", "served"])
async def test_a_tenant_whose_interrupted_events_cannot_be_read_stops_no_other(
    app: Application,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    which: str,
    error: type[Exception],
) -> None:
    tenant, other = await app.tenant(), await app.tenant()
    bad = await app.webhook(tenant, "http://127.0.0.1:9/")
    good = await app.webhook(other, "http://127.0.0.1:9/")
    bad_event, _ = await app.event(tenant), await app.event(other)
    await interrupt(app)
    original_paused, original_served = subscriptions.paused_since, deliveries.served

    async def paused_since(db: object, since: object, **options: object) -> object:
        if which == "paused" and tenant in since:  # type: ignore[operator]
            raise error("this row cannot be read")
        return await original_paused(db, since, **options)  # type: ignore[arg-type]

    async def paused_ids(db: object, tenant_id: object, *_: object, **__: object) -> object:
        if which == "paused" and tenant_id == tenant:
            raise error("this row cannot be read")
        return {}

    async def served(db: object, pairs: object) -> object:
        if which == "served" and any(event == bad_event for event, _ in pairs):  # type: ignore[attr-defined]
            raise error("this row cannot be read")
        return await original_served(db, pairs)  # type: ignore[arg-type]

    monkeypatch.setattr(interrupted_events, "paused_since", paused_since)
    monkeypatch.setattr(interrupted_events, "paused_ids", paused_ids)
    monkeypatch.setattr(deliveries, "served", served)
    with capture_logs() as lines:
        async with serving(database):
            await until(lambda: app.deliveries(good))
            await until(lambda: any(each["event"] == "event.not_fanned_out" for each in lines))

    assert await app.deliveries(bad) == []


async def test_an_event_for_hundreds_of_webhooks_reaches_those_that_it_had_not(
    app: Application, database: str, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interrupted_events, "PAIRS_AT_ONCE", 100)
    tenant = await app.tenant()
    for _ in range(fanout.MANY_WEBHOOKS * 3):
        await app.webhook(tenant, receiver.url)
    event = await app.event(tenant)
    await interrupt(app)
    # Many rows of one webhook, too: the application may write them.
    await app.db.execute(
        "INSERT INTO webhook_deliveries (webhook_id, event_id, event_type, status)"
        " SELECT id, $1, 'email.opened', 'success'"
        "   FROM (SELECT id FROM webhooks ORDER BY id LIMIT 150) AS w, generate_series(1, 10)",
        event,
    )
    async with serving(database) as service:
        await until(lambda: inbox_is_empty(app))
        await until(lambda: app.db.fetchval("SELECT count(*) = 1650 FROM webhook_deliveries"))
        metrics = samples(await metrics_of(service))

    by_webhook = await app.db.fetch(
        "SELECT count(*) AS rows, count(*) FILTER (WHERE payload IS NOT NULL) AS ours"
        "  FROM webhook_deliveries GROUP BY webhook_id"
    )
    assert (
        sorted((row["rows"], row["ours"]) for row in by_webhook) == [(1, 1)] * 150 + [(10, 0)] * 150
    )
    assert metrics["webhookd_duplicates_avoided_total because=made_before"] == 150


@pytest.mark.full
async def test_an_event_is_kept_for_a_thousand_webhooks_that_were_paused_since_it_came(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant, other = await app.tenant(), await app.tenant()
    await app.db.execute(
        "INSERT INTO webhooks (tenant_id, name, endpoint_url, secret_key)"
        " SELECT $1, 'x', $2, 'whsec_x' FROM generate_series(1, 1000)",
        *(tenant, receiver.url + "/paused"),
    )
    good = await app.webhook(other, receiver.url + "/good")
    interrupted = await app.event(tenant)
    await interrupt(app)
    await app.db.execute("UPDATE webhooks SET is_active = false WHERE tenant_id = $1", tenant)
    backlog = [await app.event(tenant) for _ in range(50)]
    async with serving(database):
        await app.event(other)
        await until(lambda: settled(app, good, "success", 1))
        await until(lambda: inbox_is_empty(app), within=20)

    rows = await app.db.fetch(
        "SELECT event_id, count(*) FROM webhook_deliveries WHERE webhook_id <> $1 GROUP BY 1", good
    )
    assert [tuple(row) for row in rows] == [(interrupted, 1000)]
    assert interrupted not in backlog
    assert receiver.at("/paused") == []
