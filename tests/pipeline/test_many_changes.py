"""A tenant that changes thousands of webhooks at once costs no other tenant its subscriptions."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import asyncpg
import pytest

from daemon.core.errors import StatementTimeoutError
from daemon.core.model.ids import TenantId, WebhookId
from daemon.pipeline import subscription_cache
from daemon.pipeline.subscription_cache import SubscriptionCache
from daemon.store import event_inbox, subscription_changes
from daemon.store.database import Database
from tests.pipeline.test_other_servers import Fanout
from tests.support.application import Application

MANY = 3000
SWITCH_OFF = """
    UPDATE webhooks SET is_active = false
     WHERE id = ANY (ARRAY(SELECT id FROM webhooks
                            WHERE tenant_id = $1 AND is_active LIMIT $2))
"""


@pytest.fixture
async def db(database: str) -> AsyncIterator[Database]:
    opened = Database(database, size=4)
    await opened.open()
    yield opened
    await opened.close(within=timedelta(seconds=1))


async def tenant_with(app: Application, count: int) -> TenantId:
    tenant = TenantId(await app.tenant())
    await app.db.execute(
        "INSERT INTO webhooks (tenant_id, name, endpoint_url, secret_key)"
        " SELECT $1, 'x', 'http://127.0.0.1/', 'whsec_x' FROM generate_series(1, $2::int)",
        *(tenant, count),
    )
    return tenant


async def at_once(app: Application, tenant: TenantId, _: Callable[[], Awaitable[object]]) -> None:
    await app.db.execute(SWITCH_OFF, tenant, MANY)


async def in_several(
    app: Application, tenant: TenantId, _: Callable[[], Awaitable[object]]
) -> None:
    for _number in range(30):
        await app.db.execute(SWITCH_OFF, tenant, MANY // 30)


async def while_scanned(
    app: Application, tenant: TenantId, scan: Callable[[], Awaitable[object]]
) -> None:
    async with app.db.transaction():
        await app.db.execute(SWITCH_OFF, tenant, MANY)
        await scan()


@pytest.mark.parametrize("change", [at_once, in_several, while_scanned])
async def test_many_changes_of_a_tenant_are_noticed_and_cost_no_other_anything(
    app: Application, database: str, db: Database, change: Callable[..., Awaitable[None]]
) -> None:
    noisy, other = await tenant_with(app, MANY), await tenant_with(app, 2)
    changed = await tenant_with(app, 2)
    fanout = Fanout(db)
    cache = fanout.cache
    await fanout.turn()
    for each in (noisy, other, changed):
        await cache.load(each)
    connection = await asyncpg.connect(database)
    second = Application(connection)

    async def scan() -> None:
        await second.db.execute("SELECT pg_current_xact_id()")  # a later one, which has ended
        await fanout.turn()

    await change(app, noisy, scan)
    await second.db.execute(SWITCH_OFF, changed, 1)
    await connection.close()
    await fanout.turn()

    assert cache.is_current(other)
    # Of this one, only what changed is read.
    assert (cache.is_loaded(changed), cache.is_current(changed)) == (True, False)
    assert not cache.is_loaded(noisy)
    await cache.load(noisy)
    assert await cache.load_few([changed, other]) == set()
    assert [len(cache.index_of(each)) for each in (noisy, other, changed)] == [0, 2, 1]


async def fails(*_: object, **__: object) -> None:
    raise StatementTimeoutError("took too long")


async def are_too_many(*_: object, **__: object) -> None:
    return None


@pytest.mark.parametrize("find", [fails, are_too_many])
async def test_changes_that_cannot_be_named_are_noticed(
    app: Application, db: Database, monkeypatch: pytest.MonkeyPatch, find: object
) -> None:
    monkeypatch.setattr(event_inbox, "MOST_CHANGES", 2)
    tenant = await tenant_with(app, 3)
    fanout = Fanout(db)
    before = await fanout.subscribed(tenant)
    await app.db.execute(SWITCH_OFF, tenant, 2)

    monkeypatch.setattr(subscription_changes, "find", find)

    assert (before, await fanout.subscribed(tenant)) == (3, 1)


async def test_changes_of_a_tenant_whose_events_do_not_come_take_no_memory(
    app: Application, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscription_cache, "MOST_CHANGED", 2)
    few, many = await tenant_with(app, 3), await tenant_with(app, 3)
    cache = SubscriptionCache(db)
    await cache.load_few([few, many])
    rows = await app.db.fetch("SELECT tenant_id, id FROM webhooks ORDER BY id")
    ids = {
        tenant: [row["id"] for row in rows if row["tenant_id"] == tenant] for tenant in (few, many)
    }
    await app.db.execute("DELETE FROM webhooks WHERE id = ANY ($1)", ids[few][:2] + ids[many])

    cache.note_changes((few, WebhookId(each)) for each in ids[few][:2])
    cache.note_changes((many, WebhookId(each)) for each in ids[many])

    assert [cache.is_loaded(each) for each in (few, many)] == [True, False]
    assert await cache.load_few([few, many]) == set()
    assert [len(cache.index_of(each)) for each in (few, many)] == [1, 0]
