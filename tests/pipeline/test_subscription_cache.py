"""Subscriptions of one tenant that are many, large or unreadable are loaded apart from others'."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from daemon.core.errors import STATEMENT_FAILURES
from daemon.core.matching import compiler
from daemon.core.matching.index import SubscriptionIndex
from daemon.core.model.ids import TenantId, WebhookId
from daemon.pipeline import subscription_cache, subscription_pages
from daemon.pipeline.subscription_cache import SubscriptionCache
from daemon.runtime import time_slice
from daemon.runtime.time_slice import TimeSlice
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


async def loaded(cache: SubscriptionCache, tenant: TenantId) -> SubscriptionIndex:
    index = await cache.load(tenant)
    assert index is not None
    return index


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
    kept = await loaded(cache, tenant)
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

    index = await loaded(cache, first)

    assert len(index) == 1
    assert (cache.knows(first), cache.knows(second)) == (False, True)


async def add_filters(app: Application, tenant: TenantId, count: int, values: int) -> None:
    await app.db.execute(
        "INSERT INTO webhooks (tenant_id, name, endpoint_url, secret_key, event_filters)"
        " SELECT $1, 'x', 'http://127.0.0.1/', 'whsec_x', jsonb_build_object('workspaces',"
        "        (SELECT jsonb_agg(number || '.' || each) FROM generate_series(1, $3::int) each))"
        "   FROM generate_series(1, $2::int) AS number",
        *(tenant, count, values),
    )


async def test_a_tenant_that_takes_more_than_its_share_of_memory_is_read_in_pages(
    app: Application, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription_cache, "TENANT_BYTES", 500_000)
    large, other = await tenants(app, 2)
    await add_filters(app, large, 60, 150)
    cache = SubscriptionCache(db)

    apart = await cache.load_few([large, other])
    index = await cache.load(large)
    pages = [page async for page in cache.pages(large, TimeSlice())]

    assert (apart, index) == ({large}, None)
    assert await cache.load_few([large, other]) == {large}
    assert (cache.is_loaded(large), cache.is_too_large(large)) == (False, True)
    assert len(cache.index_of(large)) == 0
    assert sizes(cache, [other]) == {1}
    assert [len(page) for page in pages] == [25, 25, 11]


async def test_a_tenant_that_grows_beyond_its_share_is_not_kept_any_more(
    app: Application, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription_cache, "TENANT_BYTES", 10_000)
    [tenant] = await tenants(app, 1)
    cache = SubscriptionCache(db)
    await cache.load_few([tenant])
    await add_filters(app, tenant, 1, 100)
    ids = await app.db.fetch("SELECT id FROM webhooks WHERE tenant_id = $1", tenant)
    cache.note_changes([(tenant, WebhookId(row["id"])) for row in ids])

    assert await cache.load_few([tenant]) == {tenant}
    assert await cache.load(tenant) is None


async def test_the_tenants_that_take_most_are_forgotten_first(
    app: Application, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    small, first, second = await tenants(app, 3)
    for each in (first, second):
        await add_filters(app, each, 10, 200)
    cache = SubscriptionCache(db)
    await cache.load_few([small])
    await cache.load(first)
    taken = cache.index_of(first).bytes
    monkeypatch.setattr(subscription_cache, "MOST_BYTES", round(1.5 * taken))

    await cache.load(second)

    assert [cache.knows(each) for each in (small, first, second)] == [True, False, True]


async def test_a_page_of_the_largest_filters_is_compiled_one_at_a_time(
    app: Application, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_slice, "SLICE_SECONDS", 0.0)
    [tenant] = await tenants(app, 1)
    await add_filters(app, tenant, 10, 1000)
    turn, turns = 0, list[int]()
    original = compiler.compile_subscription

    def compiled(*arguments: Any) -> Any:
        turns.append(turn)
        return original(*arguments)

    async def count_turns() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(subscription_pages, "compile_subscription", compiled)
    counter = asyncio.create_task(count_turns())
    cache = SubscriptionCache(db)

    await cache.load(tenant)
    _ = [page async for page in cache.pages(tenant, TimeSlice(patient=True))]
    counter.cancel()

    assert len(turns) == len(set(turns)) == 22


async def test_the_ids_of_very_many_webhooks_are_read_in_several_turns_of_the_loop(
    app: Application, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "IDS_AT_ONCE", 10)
    tenant = TenantId(await app.tenant())
    await app.db.execute(
        "INSERT INTO webhooks (id, tenant_id, name, endpoint_url, secret_key)"
        " SELECT gen_random_uuid(), $1, 'a webhook', 'https://example.com', 'whsec_x'"
        " FROM generate_series(1, 95)",
        tenant,
    )
    turns = 0
    read_in: Counter[int] = Counter()

    def read(webhook_id: UUID) -> WebhookId:
        read_in[turns] += 1
        return WebhookId(webhook_id)

    async def count_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    monkeypatch.setattr(subscriptions, "WebhookId", read)
    counting = asyncio.create_task(count_turns())
    async with db.connection() as connection:
        ids = await subscriptions.active_ids(connection, tenant)
    counting.cancel()

    assert len(set(ids)) == 95
    assert max(read_in.values()) <= 10
