"""How a webhook's deliveries are made, over the API: set, changed, refused, and shown."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from tests.support.api_client import ApiClient, serving_api
from tests.support.application import Application

DEFAULTS = {
    "timeout": None,
    "maxPerSecond": None,
    "maxInFlight": None,
    "retrySchedule": None,
    "clientErrorsFinal": False,
}
GIVEN = {
    "timeout": "1s500ms",
    "maxPerSecond": 0.5,
    "maxInFlight": 256,
    "retrySchedule": "quick",
    "clientErrorsFinal": True,
}
COLUMNS = "timeout_ms, max_per_second, max_in_flight, retry_schedule, client_errors_final"


@pytest.fixture
async def api(database: str, tenant: UUID) -> AsyncIterator[ApiClient]:
    schedules = {"quick": ["1s"], "patient": ["1h", "24h"]}
    async with serving_api(database, tenant, delivery={"retry_schedules": schedules}) as caller:
        yield caller


def options(webhook: dict[str, Any]) -> dict[str, Any]:
    return {name: webhook[name] for name in DEFAULTS}


async def create(api: ApiClient, **members: Any) -> dict[str, Any]:
    body = {"name": "a name", "endpointUrl": "http://127.0.0.1:9/hook"} | members
    created = await api.post("/api/webhooks", body)
    assert created.status == 201, created
    webhook: dict[str, Any] = created.json
    return webhook


async def test_options_are_set_shown_changed_one_by_one_and_reset(
    api: ApiClient, app: Application
) -> None:
    plain, given = await create(api), await create(api, **GIVEN)
    path = f"/api/webhooks/{given['id']}"
    changed = await api.call("PATCH", path, {"timeout": "30s"})
    unchanged = await api.call("PATCH", path, {"description": "another"})
    shown = await api.get(path)
    stored = await app.db.fetchrow(f"SELECT {COLUMNS} FROM webhooks WHERE id = $1", given["id"])
    reset = await api.call("PATCH", path, DEFAULTS)

    assert (options(plain), options(given)) == (DEFAULTS, GIVEN)
    for each in (changed, unchanged, shown):
        assert options(each.json) == GIVEN | {"timeout": "30s"}
        assert each.json["warnings"] == []
    assert tuple(stored) == (30_000, 0.5, 256, "quick", True)
    assert options(reset.json) == DEFAULTS
    row = await app.db.fetchrow(f"SELECT {COLUMNS} FROM webhooks WHERE id = $1", given["id"])
    assert tuple(row) == (None, None, None, None, False)


REFUSED: dict[str, list[Any]] = {
    "timeout": ["0s", "999ms", "31s", "30001ms", "5", "1m", "-5s", "", 5, "30s1ms", "5 s", "5s\n"],
    "maxPerSecond": [0, 0.09, -1, 10_001, "5", True],
    "maxInFlight": [0, -1, 257, 1.5, "5", True],
    "retrySchedule": ["gone", "", "QUICK", "quick ", "x" * 65, 1],
    "clientErrorsFinal": ["perhaps", None, 2],
}


async def test_values_out_of_bounds_and_unknown_schedules_are_refused(api: ApiClient) -> None:
    webhook = await create(api)

    words = await api.call("PATCH", f"/api/webhooks/{webhook['id']}", {"maxPerSecond": "5"})
    assert words.error == "maxPerSecond: must be a number"
    for member, values in REFUSED.items():
        for value in values:
            answer = await api.call("PATCH", f"/api/webhooks/{webhook['id']}", {member: value})
            assert (answer.status, answer.pointers) == (422, [f"#/{member}"]), (member, value)
    unknown = await api.call("PATCH", f"/api/webhooks/{webhook['id']}", {"retrySchedule": "gone"})
    assert unknown.error == "retrySchedule: gone is not a configured schedule (patient, quick)"
    shown = await api.get(f"/api/webhooks/{webhook['id']}")
    assert options(shown.json) == DEFAULTS


@pytest.mark.parametrize(
    ("member", "values"),
    [
        ("timeout", ["1s", "1000ms", "30s", "30000ms", "29s999ms"]),
        ("maxPerSecond", [0.1, 10_000, 3]),
        ("maxInFlight", [1, 256, 2.0]),
    ],
)
async def test_values_at_the_bounds_are_accepted(
    api: ApiClient, member: str, values: list[Any]
) -> None:
    webhook = await create(api)

    for value in values:
        answer = await api.call("PATCH", f"/api/webhooks/{webhook['id']}", {member: value})
        assert answer.status == 200, (member, value)
        again = await api.call(
            "PATCH", f"/api/webhooks/{webhook['id']}", {member: answer.json[member]}
        )
        assert again.json[member] == answer.json[member]


async def test_odd_values_of_the_application_are_shown_as_they_are_used_with_warnings(
    api: ApiClient, app: Application
) -> None:
    webhook = await create(api)
    path = f"/api/webhooks/{webhook['id']}"
    await app.db.execute(
        "UPDATE webhooks SET timeout_ms = -1, max_per_second = 'NaN', max_in_flight = 0,"
        " retry_schedule = E'gone\\n' || repeat('x', 3000000), client_errors_final = true"
    )

    shown = (await api.get(path)).json
    listed = (await api.get("/api/webhooks")).json["webhooks"]
    renamed = await api.call("PATCH", path, {"name": "another name"})

    assert shown["warnings"][:3] == [
        "timeout: -1 ms is not from 1s to 30s; 1s is used",
        "maxPerSecond: nan is not from 0.1 to 10000; 10000 is used",
        "maxInFlight: 0 is not from 1 to 256; 1 is used",
    ]
    [schedule] = shown["warnings"][3:]
    assert schedule.startswith("retrySchedule: gone\\nxxx")
    assert schedule.endswith("is not configured; the default schedule is used")
    assert (shown["timeout"], shown["maxPerSecond"], shown["maxInFlight"]) == ("1s", 10_000, 1)
    assert len(shown["retrySchedule"]) < 100
    assert (listed[0]["warnings"], renamed.json["warnings"]) == (shown["warnings"],) * 2
    assert renamed.status == 200
