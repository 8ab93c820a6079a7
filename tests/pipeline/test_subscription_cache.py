"""Subscriptions of one tenant that are many, large or unreadable are loaded apart from others'."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from daemon.core.errors import STATEMENT_FAILURES
from daemon.core.model.ids import TenantId, WebhookId
from daemon.pipeline import subscription_cache
from daemon.pipeline.subscription_cache import SubscriptionCache
from daemon.store import subscriptions
from daemon.store.database import Database
from daemon.store.session import Connection
from tests.support.application import Application

MANY_TYPES = "array_fill('x'::text, ARRAY[1000000])"


@pytest.fixture
async def db(database: str) -> AsyncIterator[Database]:
    opened = Database(database, size=4)
    await opened.open()
    yield opened
    await opened.close(within=timedelta(seconds=1))


async def tenants(app: Application, count: int) -> list[TenantId]:
    """Tenants with one webhook each."""
    found = [TenantId(await app.tenant()) for _ in range(count)]
    for tenant in found:
        await app.webhook(tenant, "http://127.0.0.1/")
    return found


def sizes(cache: SubscriptionCache, loaded: Sequence[TenantId]) -> set[int]:
    return {len(cache.index_of(each)) for each in loaded}


async def test_only_the_tenant_with_a_large_subscription_is_loaded_apart(
    app: Application, db: Database
) -> None:
    large, *others = await tenants(app, 60)
    await app.db.execute(
        f"UPDATE webhooks SET event_types = {MANY_TYPES} WHERE tenant_id = $1", large
    )
    await app.webhook(large, "http://127.0.0.1/")
    cache = SubscriptionCache(db)

    apart = await cache.load_few([large, *others])
    await cache.load(large)

    assert apart == {large}
    assert sizes(cache, others) == {1}
    assert sizes(cache, [large]) == {1}  # the other one is unusable, and says so
    reasons = await app.db.fetch("SELECT filter_error FROM webhooks WHERE tenant_id = $1", large)
    assert sorted(row["filter_error"] or "" for row in reasons) == [
        "",
        "event_types: at most 100 entries are allowed.",
    ]


async def test_a_subscription_that_becomes_large_is_read_again_apart(
    app: Application, db: Database
) -> None:
    large, other = await tenants(app, 2)
    cache = SubscriptionCache(db)
    assert await cache.load_few([large, other]) == set()
    webhook = WebhookId(
        await app.db.fetchval("SELECT id FROM webhooks WHERE tenant_id = $1", large)
    )
    await app.db.execute(f"UPDATE webhooks SET event_types = {MANY_TYPES} WHERE id = $1", webhook)
    cache.note_changes([(large, webhook)])

    apart = await cache.load_few([large, other])
    await cache.load(large)

    assert apart == {large}
    assert sizes(cache, [large]) == {0}
    assert await cache.load_few([large, other]) == set()


@pytest.mark.parametrize("error", STATEMENT_FAILURES)
async def test_a_tenant_that_cannot_be_read_stops_only_those_read_with_it(
    app: Application, db: Database, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    monkeypatch.setattr(subscription_cache, "FEW_TENANTS", 2)
    bad, *others = await tenants(app, 7)
    original = subscriptions.of_tenants

    async def of_tenants(db: Connection, tenants: Sequence[TenantId], **options: Any) -> Any:
        if bad in tenants:
            raise error("this row cannot be read")
        return await original(db, tenants, **options)

    monkeypatch.setattr(subscriptions, "of_tenants", of_tenants)
    cache = SubscriptionCache(db)

    apart = await cache.load_few([bad, *others])
    for each in apart:
        await cache.load(each)

    assert bad in apart
    assert len(apart) <= 2
    assert sizes(cache, [bad, *others]) == {1}


async def test_more_tenants_than_can_be_loaded_in_a_moment_are_loaded_apart(
    app: Application, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription_cache, "LOADING_SECONDS", -1.0)
    wanted = await tenants(app, 3)

    assert await SubscriptionCache(db).load_few(wanted) == set(wanted)


async def test_every_active_webhook_of_many_is_loaded(app: Application, db: Database) -> None:
    [tenant] = await tenants(app, 1)
    await app.db.execute(
        "INSERT INTO webhooks (tenant_id, name, endpoint_url, secret_key, is_active)"
        " SELECT $1, 'x', 'http://127.0.0.1/', 'whsec_x', number % 2 = 0"
        "   FROM generate_series(1, 1000) AS number",
        UUID(str(tenant)),
    )
    cache = SubscriptionCache(db)

    assert await cache.load_few([tenant]) == {tenant}
    await cache.load(tenant)

    assert sizes(cache, [tenant]) == {501}


async def test_what_is_being_matched_stays_when_too_many_subscriptions_change(
    app: Application, db: Database
) -> None:
    [tenant] = await tenants(app, 1)
    cache = SubscriptionCache(db)
    await cache.load_few([tenant])
    kept = await cache.load(tenant)
    await app.webhook(tenant, "http://127.0.0.1/")

    cache.note_changes(None)  # by the next scan, while events of the last one are matched

    assert sizes(cache, [tenant]) == {len(kept)} == {1}
    assert await cache.load_few([tenant]) == set()
    assert sizes(cache, [tenant]) == {2}


async def test_a_tenant_that_is_forgotten_while_it_is_loaded_has_its_subscriptions(
    app: Application, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription_cache, "MOST_TENANTS", 1)
    first, second = await tenants(app, 2)
    cache = SubscriptionCache(db)
    by_id = subscriptions.by_id

    async def forgotten(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(subscriptions, "by_id", by_id)
        await cache.load_few([second])
        return await by_id(*args, **kwargs)

    monkeypatch.setattr(subscriptions, "by_id", forgotten)

    index = await cache.load(first)

    assert len(index) == 1
    assert (cache.knows(first), cache.knows(second)) == (False, True)
