"""Replays over the API: count, create, retrieve, cancel, and retry exhausted deliveries."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from tests.support.aged_rows import stored_replay
from tests.support.api_client import ApiClient, serving_api
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.deliveries import inbox_is_empty, settled
from tests.support.locks import waits_for_lock
from tests.support.receiver import Receiver, Reply
from tests.support.shared_daemon import SharedDaemon, shared_daemon

BEGINNING = "2020-01-01T00:00:00Z"


# Attempts of a failing endpoint are not spaced out here: every event is to fail soon.
DELIVERY = {"retry_schedule": [], "failing_backoff": "0s"}


@pytest.fixture(scope="module")
def shared(shared_database: str) -> Iterator[SharedDaemon]:
    with shared_daemon(shared_database, delivery=DELIVERY) as running:
        yield running


@pytest.fixture
async def own_api(database: str, tenant: UUID) -> AsyncIterator[ApiClient]:
    """A client of a daemon that has the test's own database."""
    async with serving_api(database, tenant, delivery=DELIVERY) as caller:
        yield caller


async def completed(api: ApiClient, replay: str) -> bool:
    return bool((await api.get(f"/api/replays/{replay}")).json["status"] == "completed")


async def test_a_replay_sends_events_from_before_a_webhook_existed(
    own_api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    events = [await app.event(tenant, {"n": n}) for n in range(30)]
    await app.event(tenant, type="email.sent")
    await until(lambda: inbox_is_empty(app))
    created = await own_api.create_webhook(receiver.url, eventTypes=["email.opened"])
    body = {"webhookId": created["id"], "from": BEGINNING}

    counted = await own_api.post("/api/replays", body | {"dryRun": True})
    nothing_sent = list(receiver.received)
    begun = await own_api.post("/api/replays", body)
    await until(lambda: completed(own_api, begun.json["id"]))

    shown = (await own_api.get(f"/api/replays/{begun.json['id']}")).json
    assert (counted.status, counted.json["total"]) == (200, 30)
    assert nothing_sent == []
    assert (begun.status, begun.json["total"]) == (202, 30)
    assert (shown["sent"], shown["total"], shown["source"]) == (30, 30, "events")
    assert {request.headers["webhook-id"] for request in receiver.received} == {
        f"evt_{event.hex}" for event in events
    }


async def test_a_replay_can_be_limited_to_types_and_a_time_range(
    own_api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    at = datetime(2025, 11, 25, 14, tzinfo=UTC)
    created = await own_api.create_webhook(receiver.url, isActive=False)
    for n in range(6):
        name = "email.opened" if n % 2 else "email.clicked"
        await app.event(tenant, type=name, created_at=at + timedelta(hours=n))

    async def total(**body: Any) -> int:
        replay = {"webhookId": created["id"], "from": BEGINNING, "dryRun": True} | body
        answer = await own_api.post("/api/replays", replay)
        assert answer.status == 200, answer
        return int(answer.json["total"])

    assert await total() == 6
    assert await total(eventTypes=["email.opened"]) == 3
    assert await total(eventTypes=["email.*"]) == 6
    assert await total(eventTypes=["campaign.*"]) == 0
    window = {"from": "2025-11-25T15:00:00Z", "to": "2025-11-25T17:00:00Z"}
    assert await total(**window) == 2


@pytest.mark.parametrize(
    "window",
    [
        {"from": "2025-11-25T17:00:00Z", "to": "2025-11-25T15:00:00Z"},
        {"from": "2025-11-25T17:00:00Z", "to": "2025-11-25T17:00:00Z"},
        {"from": "3025-11-25T17:00:00Z"},
    ],
)
@pytest.mark.parametrize("path", ["/api/replays", "/api/webhooks/{id}/retry-failed"])
async def test_an_empty_time_range_is_rejected(
    api: ApiClient, path: str, window: dict[str, str]
) -> None:
    created = await api.create_webhook("http://127.0.0.1:9/", isActive=False)
    webhook = {"webhookId": created["id"]} if path == "/api/replays" else {}

    answer = await api.post(path.format(id=created["id"]), window | webhook)

    assert (answer.status, answer.pointers) == (422, ["#/from"])


async def test_a_replay_of_a_paused_webhook_waits_and_can_be_cancelled(
    own_api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    await app.events(tenant, 50)
    await until(lambda: inbox_is_empty(app))
    created = await own_api.create_webhook(receiver.url, isActive=False)
    begun = await own_api.post("/api/replays", {"webhookId": created["id"], "from": BEGINNING})
    listed = await own_api.get(f"/api/webhooks/{created['id']}/replays")

    cancelled = await own_api.post(f"/api/replays/{begun.json['id']}/cancel")
    await own_api.post(f"/api/webhooks/{created['id']}/resume")
    again = await own_api.post(f"/api/replays/{begun.json['id']}/cancel")

    assert listed.json == {"replays": [begun.json], "next": None}
    assert (begun.json["begun"], begun.json["paused"]) == (False, True)
    assert (cancelled.status, cancelled.json["status"]) == (200, "cancelled")
    assert cancelled.json["paused"] is False
    assert cancelled.json["finishedAt"] is not None
    assert again.json == cancelled.json
    assert await app.deliveries(UUID(created["id"])) == []


async def test_the_newest_replays_are_listed_first(
    own_api: ApiClient, app: Application, tenant: UUID
) -> None:
    created = await own_api.create_webhook("http://127.0.0.1:9/", isActive=False)
    body = {"webhookId": created["id"]}
    times = [{"from": f"{year}-01-01T00:00:00Z"} for year in (2020, 2021, 2022)]
    ids = [(await own_api.post("/api/replays", body | each)).json["id"] for each in times]

    listed = await own_api.get(f"/api/webhooks/{created['id']}/replays", limit=2)

    assert [each["id"] for each in listed.json["replays"]] == [ids[2], ids[1]]


async def test_retry_failed_sends_the_exhausted_deliveries_and_no_others(
    own_api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    receiver.answer = lambda request: Reply(500 if request.event["data"]["n"] < 10 else 200)
    webhook = await app.webhook(tenant, receiver.url)
    for n in range(15):
        await app.event(tenant, {"n": n})
    await until(lambda: settled(app, webhook, "failed", 10))
    await until(lambda: settled(app, webhook, "success", 5))
    receiver.answer = lambda _: Reply()

    begun = await own_api.post(f"/api/webhooks/{webhook}/retry-failed", {"from": BEGINNING})
    await until(lambda: settled(app, webhook, "success", 15))
    again = await own_api.post(f"/api/webhooks/{webhook}/retry-failed", {"from": BEGINNING})

    shown = (await own_api.get(f"/api/replays/{begun.json['replayId']}")).json
    assert (begun.status, begun.json["count"]) == (202, 10)
    assert shown["source"] == "exhausted"
    assert again.json == {"count": 0, "replayId": None}
    assert len(receiver.received) == 25


async def test_a_replay_obeys_the_egress_rules(
    own_api: ApiClient, app: Application, tenant: UUID
) -> None:
    await app.events(tenant, 3)
    await until(lambda: inbox_is_empty(app))
    webhook = await app.webhook(tenant, "http://169.254.169.254/latest")
    begun = await own_api.post("/api/replays", {"webhookId": str(webhook), "from": BEGINNING})
    await until(lambda: completed(own_api, begun.json["id"]))

    rows = await app.deliveries(webhook)
    assert {row["replay_id"] for row in rows} == {UUID(begun.json["id"])}
    assert {row["error_message"] for row in rows} == {
        "the host's address is not public; use a host on the public internet"
    }


async def test_a_replay_to_a_webhook_with_an_unusable_filter_is_a_conflict(
    own_api: ApiClient, app: Application, tenant: UUID
) -> None:
    webhook = await app.webhook(tenant, "http://127.0.0.1:9/", filters={"filters": 5})

    answer = await own_api.post("/api/replays", {"webhookId": str(webhook), "from": BEGINNING})
    document = (await own_api.get("/openapi.json")).json

    assert answer.status == 409
    assert "409" in document["paths"]["/api/replays"]["post"]["responses"]
    assert "filters: must be an object" in answer.error


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({"from": BEGINNING}, 422, "#/webhookId"),
        ({"webhookId": "x", "from": BEGINNING}, 422, "#/webhookId"),
        ({"webhookId": str(uuid4())}, 422, "#/from"),
        ({"webhookId": str(uuid4()), "from": "yesterday"}, 422, "#/from"),
        ({"webhookId": str(uuid4()), "from": 5}, 422, "#/from"),
        ({"webhookId": str(uuid4()), "from": BEGINNING, "eventTypes": "x"}, 422, "#/eventTypes"),
        ({"webhookId": str(uuid4()), "from": BEGINNING, "dryRun": "yes"}, 422, "#/dryRun"),
        ({"webhookId": str(uuid4()), "from": BEGINNING}, 404, None),
    ],
)
async def test_an_invalid_replay_is_rejected(
    api: ApiClient, body: dict[str, Any], status: int, pointer: str | None
) -> None:
    answer = await api.post("/api/replays", body)

    assert answer.status == status
    assert pointer is None or pointer in answer.pointers


async def test_slow_api_requests_do_not_delay_deliveries(
    own_api: ApiClient, app: Application, database: str, tenant: UUID, receiver: Receiver
) -> None:
    created = await own_api.create_webhook(receiver.url)
    begun = await own_api.post("/api/replays", {"webhookId": created["id"], "from": BEGINNING})
    await until(lambda: completed(own_api, begun.json["id"]))
    blocker = await asyncpg.connect(database)
    transaction = blocker.transaction()
    await transaction.start()
    await blocker.execute("LOCK TABLE webhook_replays")
    requests = [
        asyncio.create_task(own_api.get(f"/api/replays/{begun.json['id']}")) for _ in range(20)
    ]
    await until(lambda: waiting_for_a_lock(app))
    for n in range(5):
        await app.event(tenant, {"n": n})
        await until(lambda n=n: settled(app, UUID(created["id"]), "success", n + 1), within=5)
    answers = await asyncio.gather(*requests)
    await transaction.rollback()
    afterwards = await own_api.get(f"/api/replays/{begun.json['id']}")
    await blocker.close()

    assert {answer.status for answer in answers} == {503}
    assert afterwards.status == 200


async def waiting_for_a_lock(app: Application) -> bool:
    waiting = await app.db.fetchval(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return bool(waiting)


async def test_a_replay_to_a_webhook_that_is_being_deleted_is_a_404(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    async with serving_api(database, tenant) as api:
        webhook = (await api.create_webhook("http://127.0.0.1:9/"))["id"]
        async with app.db.transaction():
            await app.db.execute("DELETE FROM webhooks WHERE id = $1", webhook)
            body = {"webhookId": webhook, "from": "2020-01-01T00:00:00Z"}
            request = asyncio.create_task(api.post("/api/replays", body))
            await until(lambda: waits_for_lock(app))
        answer = await request

    assert (answer.status, answer.error) == (404, "this tenant has no webhook with this id")


async def test_a_hundred_replays_to_one_webhook_may_run_and_no_more(
    own_api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    full, other = [await app.webhook(tenant, receiver.url) for _ in range(2)]
    await app.event(tenant)
    await until(lambda: inbox_is_empty(app))
    for webhook in (full, other):
        await app.db.execute("UPDATE webhooks SET is_active = false WHERE id = $1", webhook)
    for _ in range(99):
        await stored_replay(app, full, status="running", finished="NULL")
    body = {"webhookId": str(full), "from": BEGINNING}

    last = await own_api.post("/api/replays", body)
    one_more = await own_api.post("/api/replays", body | {"eventTypes": ["email.opened"]})
    elsewhere = await own_api.post("/api/replays", body | {"webhookId": str(other)})
    await own_api.post(f"/api/replays/{last.json['id']}/cancel")
    again = await own_api.post("/api/replays", body | {"eventTypes": ["email.opened"]})

    assert [each.status for each in (last, one_more, elsewhere, again)] == [202, 429, 202, 202]
    assert one_more.error == "100 replays to this webhook run: wait for one or cancel some"
