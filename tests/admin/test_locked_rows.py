"""Rows that another transaction has locked: a change of them fails soon, and others are served."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from daemon.runtime.turns import MOST_OF_ONE
from daemon.store import session
from tests.support.api_client import ApiClient, serving_api
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.deliveries import insert_delivery

BUSY = "locked by another transaction: try again in a few seconds"
WAITING = """
    SELECT count(*) FROM pg_stat_activity
     WHERE application_name = 'webhookd' AND wait_event_type = 'Lock'
"""
URL = "http://127.0.0.1:9/"


@pytest.fixture
async def holder(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def own(app: Application) -> UUID:
    return await app.webhook(await app.tenant(), URL)


async def lock(holder: asyncpg.Connection, webhook: UUID) -> UUID:
    sql = "SELECT tenant_id FROM webhooks WHERE id = $1 FOR UPDATE"
    return UUID(str(await holder.fetchval(sql, webhook)))


async def test_requests_that_wait_for_a_row_leave_connections_to_everyone_else(
    app: Application,
    database: str,
    own: UUID,
    holder: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "LIMIT_LOCK_WAITS", "SET lock_timeout = '8s'")
    other = await app.tenant()
    theirs = await app.webhook(other, URL)

    async def two_wait() -> bool:
        return bool(await app.db.fetchval(WAITING) == MOST_OF_ONE)

    async with serving_api(database, other) as api:
        async with holder.transaction():
            tenant = await lock(holder, own)
            mine = api.as_tenant(tenant)
            path = f"/api/webhooks/{own}"
            waiting = [asyncio.create_task(mine.patch(path, {"name": "x"})) for _ in range(6)]
            await until(two_wait)
            served = [await api.get(f"/api/webhooks/{theirs}") for _ in range(10)]
            changed = await api.patch(f"/api/webhooks/{theirs}", {"name": "y"})
            operators = await api.with_headers(X_Tenant_ID=None).get("/api/tenants")
            answered = sum(each.done() for each in waiting)
            most = await app.db.fetchval(WAITING)
        answers = await asyncio.gather(*waiting)

    assert {each.status for each in (*served, changed, operators)} == {200}
    assert (answered, most) == (0, MOST_OF_ONE)
    assert {each.status for each in answers} == {200}


async def change(api: ApiClient, kind: str, webhook: UUID, delivery: UUID) -> tuple[int, str, bool]:
    method, path, body = {
        "update": ("PATCH", f"/api/webhooks/{webhook}", {"name": "x"}),
        "pause": ("POST", f"/api/webhooks/{webhook}/pause", None),
        "rotate": ("POST", f"/api/webhooks/{webhook}/rotate-secret", {}),
        "retry": ("POST", f"/api/deliveries/{delivery}/retry", None),
        "delete": ("DELETE", f"/api/webhooks/{webhook}", None),
    }[kind]
    answer = await api.call(method, path, body)
    error = answer.error if answer.status >= 400 else ""
    return answer.status, error, "Retry-After" in answer.headers


@pytest.mark.parametrize("kind", ["update", "pause", "rotate", "retry", "delete"])
async def test_a_change_of_a_locked_row_is_refused_soon_and_made_once_it_is_free(
    app: Application, database: str, own: UUID, holder: asyncpg.Connection, kind: str
) -> None:
    delivery = await insert_delivery(app, own)
    async with serving_api(database, await app.tenant()) as api:
        async with holder.transaction():
            mine = api.as_tenant(await lock(holder, own))
            refused = await change(mine, kind, own, delivery)
        made = await change(mine, kind, own, delivery)

    assert refused == (503, BUSY, True)
    assert made[0] in {200, 202, 204}


async def test_a_change_waits_for_a_row_that_is_locked_for_a_moment(
    app: Application,
    database: str,
    own: UUID,
    holder: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "LIMIT_LOCK_WAITS", "SET lock_timeout = '8s'")

    async def one_waits() -> bool:
        return bool(await app.db.fetchval(WAITING))

    async with serving_api(database, await app.tenant()) as api:
        async with holder.transaction():
            mine = api.as_tenant(await lock(holder, own))
            waiting = asyncio.create_task(change(mine, "update", own, own))
            await until(one_waits)
        status, *_ = await waiting

    assert status == 200
