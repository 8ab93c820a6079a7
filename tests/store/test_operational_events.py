"""The statements about operational events: exact, and of no cost without subscribers."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from daemon.core.model.ids import DeliveryId, EventId, TenantId, WebhookId
from daemon.core.model.operational_events import (
    ExhaustedDelivery,
    OperationalEvent,
    OperationalType,
    Transition,
)
from daemon.store import operational_deliveries, operational_events, operational_subscribers
from daemon.store.session import prepare
from tests.support.application import Application
from tests.support.deliveries import insert_delivery
from tests.support.operational import scoped_webhook, waiting

URL = "https://example.com/"
NOW = datetime.now(UTC)


@pytest.fixture
async def db(app: Application) -> asyncpg.Connection:
    """A connection as a daemon's: `app` uses it too."""
    await prepare(app.db)
    connection: asyncpg.Connection = app.db
    return connection


def exhausted(webhook: UUID, event: UUID | None = None) -> Transition:
    return Transition(
        OperationalType.EXHAUSTED,
        WebhookId(webhook),
        reason="no",
        delivery=ExhaustedDelivery(
            *(EventId(event or uuid4()), "email.opened", DeliveryId(uuid4())), attempted_at=NOW
        ),
    )


def failing(webhook: UUID) -> Transition:
    return Transition(OperationalType.FAILING, WebhookId(webhook), reason="no", failures=5)


async def due(db: asyncpg.Connection, tenant: UUID) -> list[OperationalEvent]:
    return await operational_deliveries.due(db, TenantId(tenant), limit=1000)


async def test_nothing_is_written_that_nobody_gets(
    app: Application, db: asyncpg.Connection
) -> None:
    tenant, other = await app.tenant(), await app.tenant()
    webhook = await app.webhook(tenant, URL)
    assert not await operational_events.write_transitions(db, [failing(webhook)])
    account = await scoped_webhook(app, other, URL, "account")
    assert not await operational_events.write_transitions(db, [failing(webhook)])
    assert not await operational_events.write_transitions(db, [failing(account)])
    assert not await operational_events.write_transitions(db, [failing(uuid4())])

    await scoped_webhook(app, other, URL, "operator")

    assert await operational_events.write_transitions(db, [failing(webhook), failing(account)])
    assert [each.type for each in await due(db, tenant)] == ["webhook.failing"]
    assert await waiting(app) == 1


async def test_a_delivery_with_another_attempt_pending_is_not_exhausted(
    app: Application, db: asyncpg.Connection
) -> None:
    tenant = await app.tenant()
    webhook, other = await app.webhook(tenant, URL), await app.webhook(tenant, URL)
    await scoped_webhook(app, tenant, URL, "account")
    goes_on, ended = uuid4(), uuid4()
    await insert_delivery(app, webhook, event_id=goes_on)
    await insert_delivery(app, other, event_id=ended)
    await insert_delivery(app, webhook, event_id=ended, status="failed")

    await operational_events.write_transitions(
        db, [exhausted(webhook, goes_on), exhausted(webhook, ended)]
    )

    [event] = await due(db, tenant)
    assert str(ended) in event.data


async def test_a_delivery_that_an_attempt_made_later_has_delivered_is_not_exhausted(
    app: Application, db: asyncpg.Connection
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, URL)
    await scoped_webhook(app, tenant, URL, "account")
    attempts = {
        uuid4(): ("success", timedelta(seconds=1)),
        uuid4(): ("success", -timedelta(seconds=1)),
        uuid4(): ("failed", timedelta(seconds=1)),
    }
    for event, (status, age) in attempts.items():
        for at, outcome in ((NOW, "failed"), (NOW + age, status)):
            await insert_delivery(
                *(app, webhook),
                event_id=event,
                status=outcome,
                attempted_at=at,
                next_retry_at=None,
            )

    await operational_events.write_transitions(db, [exhausted(webhook, each) for each in attempts])

    found = {json.loads(each.data)["event_id"] for each in await due(db, tenant)}
    assert found == {str(each) for each in list(attempts)[1:]}


async def test_many_exhausted_deliveries_of_a_webhook_in_one_batch_are_counted_exactly(
    app: Application, db: asyncpg.Connection
) -> None:
    tenant = await app.tenant()
    many, few = await app.webhook(tenant, URL), await app.webhook(tenant, URL)
    await scoped_webhook(app, tenant, URL, "account")
    several = [exhausted(many) for _ in range(500)]

    await operational_events.write_transitions(db, [exhausted(few), *several, failing(many)])

    events = await due(db, tenant)
    counts = Counter((each.type, each.count) for each in events)
    assert counts == {
        ("delivery.exhausted", 1): 11,
        ("delivery.exhausted", 490): 1,
        ("webhook.failing", 1): 1,
    }
    [last] = [each for each in events if each.count == 490]
    assert several[-1].delivery is not None
    assert str(several[-1].delivery.delivery_id) in last.data


async def test_what_is_merged_again_and_again_stays_one_event_with_the_latest_data(
    app: Application, db: asyncpg.Connection
) -> None:
    tenant = await app.tenant()
    webhooks = [await app.webhook(tenant, URL) for _ in range(2)]
    await scoped_webhook(app, tenant, URL, "account")
    last = [exhausted(each) for each in webhooks]
    for _ in range(3):
        await operational_events.write_transitions(
            db, [exhausted(webhooks[0]), failing(webhooks[0]), *last]
        )
        merged = [
            await operational_deliveries.merge(
                db, TenantId(tenant), each, limit=1000, due_in=timedelta()
            )
            for each in ("delivery.exhausted", "webhook.failing", "webhook.paused")
        ]
        assert merged == [3, 1, 0]

    events = await due(db, tenant)
    assert Counter((each.type, each.count) for each in events) == {
        ("delivery.exhausted", 6): 1,
        ("delivery.exhausted", 3): 1,
        ("webhook.failing", 3): 1,
    }
    for each in last:
        assert each.delivery is not None
        assert any(str(each.delivery.delivery_id) in event.data for event in events)


async def test_deliveries_are_pending_attempts_with_the_data_and_time_of_the_event(
    app: Application, db: asyncpg.Connection
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, URL)
    account = await scoped_webhook(app, tenant, URL, "account")
    paused = await scoped_webhook(app, tenant, URL, "account")
    await operational_events.write_transitions(db, [failing(webhook)])
    read = await due(db, tenant)
    await app.db.execute("UPDATE webhooks SET is_active = false WHERE id = $1", paused)
    async with db.transaction():
        ours = await operational_deliveries.lock(db, read)
        served = await operational_deliveries.insert(
            db, [(read[0], WebhookId(each)) for each in (account, paused, uuid4())]
        )
        await operational_deliveries.end(db, ours, served_up_to=None)

    assert ours == read
    assert served == [account]
    [row] = await app.deliveries(account)
    assert await app.deliveries(paused) == []
    assert (row["event_id"], row["event_type"], row["status"], row["attempt_number"]) == (
        *(read[0].id, "webhook.failing", "pending_retry"),
        1,
    )
    assert row["event_created_at"] == read[0].created_at
    assert row["next_retry_at"] <= datetime.now(UTC)
    assert await waiting(app) == 0
    # As another daemon read it: it inserts nothing.
    async with db.transaction():
        assert await operational_deliveries.lock(db, read) == []


async def test_subscribers_come_page_by_page_and_only_those_of_the_tenant_or_of_operators(
    app: Application, db: asyncpg.Connection
) -> None:
    tenant, other = await app.tenant(), await app.tenant()
    await app.webhook(tenant, URL)
    foreign = await scoped_webhook(app, other, URL, "account")
    expected = [
        await scoped_webhook(app, tenant if number % 2 else other, URL, scope)
        for number, scope in enumerate(["operator", "account"] * 4)
    ]
    found: list[UUID] = []
    after: WebhookId | None = None
    while page := await operational_subscribers.page(db, TenantId(tenant), after=after, limit=3):
        found += [each.webhook_id for each in page]
        after = page[-1].webhook_id

    assert found == sorted(expected)
    assert await operational_subscribers.one(db, TenantId(tenant), WebhookId(foreign)) == []
    for each in expected:
        [one] = await operational_subscribers.one(db, TenantId(tenant), WebhookId(each))
        assert one.webhook_id == each
