"""Locks that another session keeps: requests that wait for them leave room for all others."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import asyncpg
import pytest

from daemon.service import API_CONNECTIONS
from daemon.store import named_locks, session
from tests.support.api_client import Answer, ApiClient, serving_api
from tests.support.application import Application
from tests.support.audit import records
from tests.support.daemons import until
from tests.support.deliveries import insert_delivery
from tests.support.held_locks import hold, release

NEW = {"name": "x", "endpointUrl": "http://127.0.0.1:9/"}
LONG = 30.0
OWN_LOCKS = ("webhooks", "confirmations", "tokens")


@pytest.fixture
async def holder(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


class Waiting:
    """Requests that were sent and have no response yet."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[Answer]] = []

    @property
    def answered(self) -> int:
        return sum(task.done() for task in self.tasks)


@asynccontextmanager
async def sending(
    api: ApiClient, tenants: list[UUID], *, method: str, path: str, body: object, each: int
) -> AsyncIterator[Waiting]:
    """So many requests of each tenant, which are cancelled at the end if they still wait."""
    waiting = Waiting()
    waiting.tasks = [
        asyncio.create_task(api.as_tenant(tenant).call(method, path, body))
        for tenant in tenants
        for _ in range(each)
    ]
    try:
        yield waiting
    finally:
        for task in waiting.tasks:
            task.cancel()
        await asyncio.gather(*waiting.tasks, return_exceptions=True)


async def test_requests_that_wait_for_held_locks_leave_connections_to_others(
    app: Application, database: str, holder: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named_locks, "WAIT_SECONDS", LONG)
    other, *victims = [await app.tenant() for _ in range(11)]
    await hold(holder, *(f"webhookd webhooks of {each}" for each in victims))
    async with (
        serving_api(database, other) as api,
        sending(api, victims, method="POST", path="/api/webhooks", body=NEW, each=8) as waiting,
    ):
        served = [await api.get("/api/webhooks") for _ in range(20)]
        created = await api.post("/api/webhooks", NEW)
        answered = waiting.answered

    assert {each.status for each in served} == {200}
    assert created.status == 201
    assert answered == 0


@pytest.mark.parametrize("kind", ["update", "email", "retry", "token"])
async def test_every_kind_of_request_waits_without_a_connection(
    app: Application,
    database: str,
    holder: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    monkeypatch.setattr(named_locks, "WAIT_SECONDS", LONG)
    tenant, other = await app.tenant(), await app.tenant()
    webhook = await app.webhook(tenant, "http://127.0.0.1:9/")
    delivery = await insert_delivery(app, webhook)
    await hold(holder, *(f"webhookd {each} of {tenant}" for each in OWN_LOCKS))
    await hold(holder, f"webhookd chains {webhook}")
    method, path, body = {
        "update": ("PATCH", f"/api/webhooks/{webhook}", {"endpointUrl": "http://127.0.0.2:9/"}),
        "email": ("PATCH", f"/api/webhooks/{webhook}", {"notificationEmail": "a@example.com"}),
        "retry": ("POST", f"/api/deliveries/{delivery}/retry", None),
        "token": ("POST", "/api/tenant-tokens", {"tenantId": str(tenant)}),
    }[kind]
    mail = {"allowed_recipients": ["@example.org"]}
    public = {"public_url": "https://webhooks.example"}
    async with (
        serving_api(database, tenant, notifications=mail, admin=public) as api,
        sending(api, [tenant], method=method, path=path, body=body, each=8) as waiting,
    ):
        served = [await api.as_tenant(other).get("/api/webhooks") for _ in range(20)]
        answered = waiting.answered
        await release(holder)
        answers = await asyncio.gather(*waiting.tasks)

    assert {each.status for each in served} == {200}
    assert answered == 0
    assert {each.status for each in answers} <= {200, 201, 202}


async def test_thirty_requests_that_wait_for_one_lock_for_a_while_are_all_served(
    app: Application, database: str, holder: asyncpg.Connection
) -> None:
    tenant = await app.tenant()
    await hold(holder, f"webhookd webhooks of {tenant}")
    async with (
        serving_api(database, tenant) as api,
        sending(api, [tenant], method="POST", path="/api/webhooks", body=NEW, each=30) as waiting,
    ):
        await asyncio.sleep(1)  # no condition: this is how long the holder keeps it
        answered = waiting.answered
        await release(holder)
        answers = await asyncio.gather(*waiting.tasks)

    assert answered == 0
    assert {each.status for each in answers} == {201}


async def test_refused_requests_are_recorded_although_all_connections_wait(
    app: Application, database: str, holder: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "LIMIT_LOCK_WAITS", f"SET lock_timeout = '{LONG:.0f}s'")
    tenants = [await app.tenant() for _ in range(API_CONNECTIONS)]
    webhooks = [await app.webhook(each, "http://127.0.0.1:9/") for each in tenants]

    async def all_wait() -> bool:
        sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        return bool(await app.db.fetchval(sql) >= API_CONNECTIONS)

    async with serving_api(database, tenants[0]) as api, holder.transaction():
        await holder.execute("SELECT FROM webhooks FOR UPDATE")
        waiting = [
            asyncio.create_task(
                api.as_tenant(tenant).patch(f"/api/webhooks/{webhook}", {"name": "another"})
            )
            for tenant, webhook in zip(tenants, webhooks, strict=True)
        ]
        await until(all_wait)
        await api.with_token("wrong" * 8).get("/api/webhooks")
        await until(lambda: records(app))
        answered = sum(each.done() for each in waiting)
        for each in waiting:
            each.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)

    assert answered == 0
