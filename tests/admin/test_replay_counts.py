"""Counting replays over the API: tenants take turns, and no tenant counts many at once."""

import asyncio
from uuid import UUID

import pytest

from daemon.admin.resources.replay_starter import MAX_COUNTS_OF_TENANT
from daemon.replay import count as replay_count
from daemon.store import replay_candidates
from tests.support.api_client import Answer, ApiClient, serving_api
from tests.support.application import Application
from tests.support.replays import store_events

URL = "http://127.0.0.1:9/"


@pytest.fixture(autouse=True)
def pages_of_one_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay_candidates, "COUNTED_AT_ONCE", 1)
    monkeypatch.setattr(replay_count, "READ_AT_ONCE", 1)


async def webhook_of_tenant_with(app: Application, events: int) -> tuple[UUID, UUID]:
    """Make a tenant with this many events, and a webhook of it; returns both."""
    tenant = await app.tenant()
    await store_events(app, tenant, events)
    return tenant, await app.webhook(tenant, URL)


async def count(api: ApiClient, tenant: UUID, webhook: UUID) -> Answer:
    body = {"webhookId": str(webhook), "from": "2020-01-01T00:00:00Z", "dryRun": True}
    return await api.as_tenant(tenant).post("/api/replays", body)


@pytest.mark.full
async def test_a_short_count_does_not_wait_for_the_long_counts_of_other_tenants(
    app: Application, database: str
) -> None:
    busy = [await webhook_of_tenant_with(app, 1500) for _ in range(3)]
    short, webhook = await webhook_of_tenant_with(app, 1)
    async with serving_api(database, short) as api:
        running = [asyncio.create_task(count(api, *each)) for each in busy]
        counted = [await count(api, short, webhook) for _ in range(3)]
        finished_before = [each.done() for each in running]
        totals = [(await each).json["total"] for each in running]

    assert [each.json["total"] for each in counted] == [1, 1, 1]
    assert finished_before == [False] * 3
    assert totals == [1500] * 3


async def test_counts_of_one_tenant_beyond_its_limit_are_refused(
    app: Application, database: str
) -> None:
    tenant, webhook = await webhook_of_tenant_with(app, 200)
    async with serving_api(database, tenant) as api:
        answers = await asyncio.gather(
            *(count(api, tenant, webhook) for _ in range(MAX_COUNTS_OF_TENANT + 3))
        )
        after = await count(api, tenant, webhook)

    refused = [each for each in answers if each.status == 429]
    assert 1 <= len(refused) <= 3
    assert all("Retry-After" in each.headers for each in refused)
    assert {each.status for each in answers} == {200, 429}
    assert after.json["total"] == 200
