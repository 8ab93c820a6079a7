"""Stats of webhooks over the API: they agree with the deliveries that are listed."""

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.support.api_client import ApiClient, serving_api
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.deliveries import (
    SHORT,
    inbox_is_empty,
    insert_delivery,
    nothing_pending,
    settled,
)
from tests.support.receiver import Receiver, Reply
from tests.support.shared_daemon import SharedDaemon, shared_daemon

DELIVERY = SHORT | {"max_body_bytes": 2000}
EMPTY: dict[str, Any] = {
    "successRate": None,
    "delivered": 0,
    "failed": 0,
    "errors": {},
    "p50Ms": None,
    "p95Ms": None,
    "oldestPendingSeconds": None,
    "complete": True,
}


@pytest.fixture(scope="module")
def shared(shared_database: str) -> Iterator[SharedDaemon]:
    with shared_daemon(shared_database, delivery=DELIVERY) as running:
        yield running


@pytest.fixture
async def own_api(database: str, tenant: UUID) -> AsyncIterator[ApiClient]:
    """A client of a daemon that has the test's own database."""
    async with serving_api(database, tenant, delivery=DELIVERY) as caller:
        yield caller


async def stats_of(api: ApiClient, webhook: object, **query: Any) -> Any:
    answer = await api.get(f"/api/webhooks/{webhook}/stats", **query)
    assert answer.status == 200, answer
    return answer.json


async def expected(app: Application, webhook: UUID) -> dict[str, Any]:
    """What the rows of the deliveries say."""
    rows = await app.db.fetch(
        "SELECT status, status_code, error_message, duration_ms FROM webhook_deliveries"
        " WHERE webhook_id = $1 AND status <> 'pending_retry' AND NOT too_large",
        webhook,
    )
    delivered = sum(row["status"] == "success" for row in rows)
    errors = Counter(
        f"{row['status_code'] // 100}xx" if row["status_code"] else "disconnected"
        for row in rows
        if row["status"] == "failed"
    )
    durations = sorted(row["duration_ms"] for row in rows)
    return {
        "delivered": delivered,
        "failed": len(rows) - delivered,
        "errors": dict(errors),
        "successRate": delivered / len(rows),
        "durations": [durations[ceil(q * len(durations)) - 1] for q in (0.5, 0.95)],
    }


async def test_stats_agree_with_the_deliveries_that_are_stored(
    own_api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    """By results of first attempts and of retries, alone and many at once."""
    webhook = await app.webhook(tenant, receiver.url)
    replies = [Reply(200), Reply(500), Reply(204), Reply(302), Reply(404), Reply(503), Reply(200)]
    receiver.answer = lambda _: replies[len(receiver.received) % len(replies)]
    await app.event(tenant)
    await until(lambda: settled(app, webhook, "success", 1))
    await app.events(tenant, 150)
    await app.event(tenant, {"text": "x" * 3000})  # too large: it is never sent
    await insert_delivery(app, webhook, next_retry_at=datetime.now(UTC))
    await until(lambda: inbox_is_empty(app))
    await until(lambda: nothing_pending(app))

    shown = await stats_of(own_api, webhook)

    rows = await expected(app, webhook)
    assert {name: shown[name] for name in rows if name != "durations"} == {
        name: value for name, value in rows.items() if name != "durations"
    }
    for estimate, true in zip((shown["p50Ms"], shown["p95Ms"]), rows["durations"], strict=True):
        assert abs(estimate - true) <= max(1, true / 5)
    assert len(shown["series"]) <= 100
    assert sum(point["delivered"] for point in shown["series"]) == shown["delivered"]
    assert sum(point["failed"] for point in shown["series"]) == shown["failed"]
    assert shown["complete"]
    assert await app.db.fetchval("SELECT count(*) FROM webhook_deliveries WHERE too_large") == 1
    summary = {name: shown[name] for name in ("successRate", "delivered", "failed", "p95Ms")}
    listed = (await own_api.get("/api/webhooks", include="stats")).json["webhooks"]
    assert [each["stats"] for each in listed] == [summary | {"series": None}]


async def test_a_test_event_is_not_counted(
    own_api: ApiClient, tenant: UUID, receiver: Receiver
) -> None:
    created = await own_api.create_webhook(receiver.url)
    await own_api.post(f"/api/webhooks/{created['id']}/test")

    shown = await stats_of(own_api, created["id"])

    assert {name: shown[name] for name in EMPTY} == EMPTY
    assert {(point["delivered"], point["p95Ms"]) for point in shown["series"]} == {(0, None)}


async def test_stats_are_in_a_list_only_if_they_are_asked_for(api: ApiClient) -> None:
    await api.create_webhook("https://receiver.example/")

    plain = (await api.get("/api/webhooks")).json["webhooks"]
    asked = (await api.get("/api/webhooks", include="stats")).json["webhooks"]

    assert plain[0]["stats"] is None
    assert asked[0]["stats"] == {
        "successRate": None,
        "delivered": 0,
        "failed": 0,
        "p95Ms": None,
        "series": None,
    }


async def test_the_oldest_pending_attempt_counts_from_when_it_was_scheduled(
    own_api: ApiClient, app: Application, tenant: UUID
) -> None:
    webhook = await app.webhook(tenant, "https://receiver.example/")
    now = datetime.now(UTC)
    for age in (timedelta(minutes=1), timedelta(hours=2)):
        await insert_delivery(app, webhook, attempted_at=now - age)
    odd = await app.webhook(tenant, "https://receiver.example/")
    await app.db.execute(
        "INSERT INTO webhook_deliveries (webhook_id, event_id, status, next_retry_at, attempted_at)"
        " VALUES ($1, $2, 'pending_retry', 'infinity', '-infinity')",
        *(odd, uuid4()),
    )

    assert (await stats_of(own_api, webhook))["oldestPendingSeconds"] in range(7200, 7300)
    assert (await stats_of(own_api, odd))["oldestPendingSeconds"] is None


RANGES = {
    "an hour": ({"from": -3600}, 61),
    "a month": ({"from": -30 * 86_400}, 91),
    "the first year to the last": (
        {"from": "0001-01-01T00:00:00Z", "to": "9999-12-31T00:00:00Z"},
        91,
    ),
    "the wrong way round": ({"from": 0, "to": -3600}, 0),
    "before all": ({"to": "0001-01-01T00:00:00Z"}, 0),
}


@pytest.mark.parametrize(("query", "points"), RANGES.values(), ids=RANGES)
async def test_any_range_can_be_asked_for(
    api: ApiClient, query: dict[str, Any], points: int
) -> None:
    created = await api.create_webhook("https://receiver.example/")
    now = datetime.now(UTC)
    times = {
        name: at if isinstance(at, str) else (now + timedelta(seconds=at)).isoformat()
        for name, at in query.items()
    }

    shown = await stats_of(api, created["id"], **times)

    assert len(shown["series"]) in (points, points - (points > 0))
    assert {name: shown[name] for name in EMPTY} == EMPTY


async def test_another_tenant_s_webhook_has_no_stats(own_api: ApiClient, app: Application) -> None:
    other = await app.webhook(await app.tenant(), "https://receiver.example/")

    answer = await own_api.get(f"/api/webhooks/{other}/stats")

    assert answer.status == 404


async def test_a_list_has_the_hours_of_the_day_and_first_what_fails(
    own_api: ApiClient, app: Application, receiver: Receiver
) -> None:
    names = ["Active", "Failing", "Paused by a person", "Paused for failures"]
    ids = {name: (await own_api.create_webhook(receiver.url, name=name))["id"] for name in names}
    await app.db.execute("UPDATE webhooks SET is_failing = name = 'Failing'")
    await app.db.execute("UPDATE webhooks SET is_active = false WHERE name LIKE 'Paused%'")
    await app.db.execute(
        "UPDATE webhooks SET paused_reason = 'failures' WHERE name = 'Paused for failures'"
    )
    await app.db.execute(
        "INSERT INTO webhook_stats (webhook_id, minutes, begins_at, cells, counts)"
        " SELECT $1, 60, date_trunc('hour', now()) - n * interval '1 hour', '{0, 3, 105}',"
        "        ARRAY[n, 1, n + 1]"
        "   FROM generate_series(1, 3) AS n",
        UUID(ids["Active"]),
    )

    first = (await own_api.get("/api/webhooks", sort="trouble", limit=2, include="hourly")).json
    query = {"sort": "trouble", "include": "hourly", "after": first["next"]}
    second = (await own_api.get("/api/webhooks", **query)).json

    found = [each["name"] for each in first["webhooks"] + second["webhooks"]]
    active = second["webhooks"][0]["stats"]
    assert found == ["Failing", "Paused for failures", "Active", "Paused by a person"]
    assert (active["delivered"], active["failed"]) == (6, 3)
    hours = [(each["delivered"], each["failed"]) for each in active["series"]]
    assert hours[-4:] == [(3, 1), (2, 1), (1, 1), (0, 0)]
    assert len(hours) == 25
    plain = (await own_api.get("/api/webhooks", include="stats")).json["webhooks"][0]["stats"]
    assert plain == active | {"series": None}
