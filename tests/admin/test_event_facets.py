"""What recent events hold: exact where it can be, and bounded whatever the events are."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest

from daemon.store import event_facets, search
from tests.support.api_client import ApiClient, serving_api
from tests.support.application import Application

EVENTS: list[Any] = [
    {"campaign_id": "camp_1", "contact": {"id": "c_1", "email": "a@example.com"}},
    {"campaign": {"id": "camp_1", "name": "Autumn"}, "contact_id": "c_1"},
    {"campaignId": 7, "contact_email": "b@example.com"},
    {},
    [{"campaign_id": "camp_9"}],
    {"campaign_id": {"id": "x"}, "contact": "nobody"},
    {"campaign_id": "", "contact_id": "x" * 400},
]


@pytest.fixture
async def api(database: str, tenant: UUID) -> AsyncIterator[ApiClient]:
    async with serving_api(database, tenant) as caller:
        yield caller


async def facets(api: ApiClient) -> Any:
    answer = await api.get("/api/events/facets")
    assert answer.status == 200, answer
    return answer.json


async def test_facets_count_the_types_campaigns_and_contacts_of_events(
    api: ApiClient, app: Application, tenant: UUID
) -> None:
    for data in EVENTS:
        await app.event(tenant, data, type="order.paid" if data == {} else "email.sent")
    await app.event(await app.tenant(), EVENTS[0])

    assert await facets(api) == {
        "types": [{"name": "email.sent", "count": 6}, {"name": "order.paid", "count": 1}],
        "campaigns": [
            {"id": "camp_1", "name": "Autumn", "count": 2},
            {"id": "7", "name": None, "count": 1},
        ],
        "contacts": [
            {"id": "c_1", "address": "a@example.com", "count": 2},
            {"id": None, "address": "b@example.com", "count": 1},
        ],
        "looked": 7,
    }


async def test_without_events_there_is_nothing_to_pick_from(api: ApiClient) -> None:
    assert await facets(api) == {"types": [], "campaigns": [], "contacts": [], "looked": 0}


async def test_numbers_that_print_without_end_and_large_data_are_left_out(
    api: ApiClient, app: Application, tenant: UUID
) -> None:
    await app.event(tenant, text='{"campaign_id": 1e131071, "contact_id": 1e-16383}')
    noise = orjson.dumps([str(n) for n in range(60_000)]).decode()
    await app.event(tenant, text=f'{{"campaign_id": "large", "noise": {noise}}}')
    await app.event(tenant, text="[" * 14_000 + "]" * 14_000)

    shown = await facets(api)

    assert (shown["campaigns"], shown["contacts"], shown["looked"]) == ([], [], 3)


async def test_only_the_newest_events_and_the_most_frequent_values_are_shown(
    api: ApiClient, app: Application, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_facets, "ROWS", (120, 20))
    now = datetime.now(UTC)
    await app.event(tenant, {"campaign_id": "old"}, created_at=now - timedelta(days=1))
    for number in range(60):
        for _ in range(2):
            await app.event(tenant, {"campaign_id": f"camp_{number}"}, created_at=now)

    shown = await facets(api)

    assert shown["looked"] == 120
    assert len(shown["campaigns"]) == event_facets.MOST_OF_EACH
    assert {each["count"] for each in shown["campaigns"]} == {2}


async def test_fewer_events_are_looked_at_when_that_takes_too_long(
    api: ApiClient, app: Application, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    await app.events(tenant, 30)
    monkeypatch.setattr(event_facets, "ROWS", (25, 5))
    assert (await facets(api))["looked"] == 25
    monkeypatch.setattr(search, "LIMIT_STEP", "SET LOCAL statement_timeout = '50ms'")

    async with app.db.transaction():
        await app.db.execute("LOCK TABLE webhook_events IN ACCESS EXCLUSIVE MODE")
        assert (await facets(api))["looked"] == 0
