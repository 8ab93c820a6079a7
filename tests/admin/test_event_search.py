"""The search for events by what their data name: complete, in bounded pages."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest

from daemon.store import search
from tests.support.api_client import ApiClient, serving_api
from tests.support.application import Application

NOW = datetime.now(UTC)
EVENTS: list[dict[str, Any]] = [
    {"campaign_id": "camp_1", "contact": {"id": "c_1", "email": "Sarah@Example.com"}},
    {"campaignId": "camp_1", "contactId": "c_2"},
    {"campaign": {"id": "camp_2"}, "to": ["Sarah <sarah@example.com>", "x@example.com"]},
    {"campaign_id": 7, "contact_id": 42},
    {},
    {"campaign_id": "camp_1", "email": "sarah@example.org"},
]
SEARCHES: dict[str, tuple[dict[str, Any], list[int]]] = {
    "an id": ({"contact": "c_1"}, [0]),
    "an address in any case and form": ({"contact": "sarah@example.com"}, [0, 2]),
    "a number": ({"contact": "42"}, [3]),
    "a campaign": ({"campaign": "camp_1"}, [0, 1, 5]),
    "a campaign that is a number": ({"campaign": "7"}, [3]),
    "a campaign and a contact": ({"campaign": "camp_1", "contact": "c_2"}, [1]),
    "a campaign and a type": ({"campaign": "camp_1", "eventType": "email.sent"}, [1]),
    "nobody": ({"contact": "nobody"}, []),
    "a type": ({"eventType": "email.sent"}, [1, 4]),
    "a type by its older name": ({"type": "email.sent"}, [1, 4]),
    "a range": (
        {"campaign": "camp_1", "to": (NOW - timedelta(minutes=1)).isoformat()},
        [5],
    ),
}


@pytest.fixture
async def api(database: str, tenant: UUID) -> AsyncIterator[ApiClient]:
    async with serving_api(database, tenant) as caller:
        yield caller


async def insert(app: Application, tenant: UUID) -> list[str]:
    """Insert EVENTS, newest first; returns their ids."""
    return [
        str(
            await app.event(
                tenant,
                data,
                type="email.sent" if number in (1, 4) else "email.opened",
                created_at=NOW - number * timedelta(minutes=1),
            )
        )
        for number, data in enumerate(EVENTS)
    ]


async def found(api: ApiClient, **query: Any) -> list[str]:
    """The ids on all pages."""
    ids: list[str] = []
    before: str | None = None
    for _ in range(100):
        page = (
            await api.get("/api/events", **query, **({"before": before} if before else {}))
        ).json
        ids += [each["id"] for each in page["events"]]
        before = page["next"]
        assert (page["lookedTo"] is None) == (before is None)
        if before is None:
            return ids
    raise AssertionError("the pages do not end")


@pytest.mark.parametrize("hurried", [False, True])
async def test_events_are_found_by_what_their_data_name(
    api: ApiClient, app: Application, tenant: UUID, monkeypatch: pytest.MonkeyPatch, hurried: bool
) -> None:
    """Also when each page ends after one row."""
    ids = await insert(app, tenant)
    await insert(app, await app.tenant())
    if hurried:
        monkeypatch.setattr(search, "PAGE_SECONDS", 0.0)
        monkeypatch.setattr(search, "MOST_ROWS", 1)
        monkeypatch.setattr(search.StepSize, "__init__", _one_row)

    for name, (query, wanted) in SEARCHES.items():
        assert await found(api, limit=2, **query) == [ids[number] for number in wanted], name


def _one_row(size: search.StepSize) -> None:
    size.rows, size._looked_at, size._advanced, size._began = 1, 0, False, 0.0


async def test_a_search_passes_over_data_that_take_too_long(
    api: ApiClient, app: Application, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "LIMIT_STEP", "SET LOCAL statement_timeout = '40ms'")
    old = await app.event(tenant, {"contact_id": "c_1"}, created_at=NOW - timedelta(minutes=2))
    crowd = orjson.dumps({"to": ["somebody@example.com"] * 400_000}).decode()
    await app.event(tenant, text=crowd, created_at=NOW - timedelta(minutes=1))
    new = await app.event(tenant, {"contact_id": "c_1"}, created_at=NOW)

    assert await found(api, contact="c_1") == [str(new), str(old)]


async def test_a_search_reads_large_data_that_it_can_read_in_time(
    api: ApiClient, app: Application, tenant: UUID
) -> None:
    large = await app.event(tenant, {"text": "x" * 5_000_000, "contact_id": "c_1"})
    nested = "[" * 14_000 + "]" * 14_000
    await app.event(tenant, text=nested)

    assert await found(api, contact="c_1") == [str(large)]
