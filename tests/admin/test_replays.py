"""Replays over HTTP: counted, begun, followed, cancelled; and what was given up, once more."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from daemon.service import API_CONNECTIONS
from tests.support.api_client import Caller, serving_api
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver, Reply

BEGINNING = "2020-01-01T00:00:00Z"


@pytest.fixture
async def tenant(app: Application) -> UUID:
    return await app.tenant()


@pytest.fixture
async def api(database: str, tenant: UUID) -> AsyncIterator[Caller]:
    async with serving_api(database, tenant, delivery={"retry_schedule": []}) as caller:
        yield caller


async def fanned_out(app: Application) -> bool:
    """Whether what was published before the webhook was made has gone to nobody."""
    return bool(await app.db.fetchval("SELECT count(*) = 0 FROM webhook_event_inbox"))


async def completed(api: Caller, replay: str) -> bool:
    return bool((await api.get(f"/api/replays/{replay}")).json["status"] == "completed")


async def test_a_new_webhook_gets_what_came_before_it_was_made(
    api: Caller, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    events = [await app.event(tenant, {"n": n}) for n in range(30)]
    await app.event(tenant, type="email.sent")
    await until(lambda: fanned_out(app))
    made = await api.webhook(receiver.url, eventTypes=["email.opened"])
    wish = {"webhookId": made["id"], "from": BEGINNING}

    counted = await api.post("/api/replays", wish | {"dryRun": True})
    nothing_sent = list(receiver.received)
    begun = await api.post("/api/replays", wish)
    await until(lambda: completed(api, begun.json["id"]))

    shown = (await api.get(f"/api/replays/{begun.json['id']}")).json
    assert (counted.status, counted.json) == (200, {"total": 30})
    assert nothing_sent == []
    assert (begun.status, begun.json["total"]) == (202, 30)
    assert (shown["sent"], shown["total"], shown["source"]) == (30, 30, "events")
    assert {request.headers["webhook-id"] for request in receiver.received} == {
        f"evt_{event.hex}" for event in events
    }


async def test_a_replay_is_narrowed_by_type_and_time(
    api: Caller, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    at = datetime(2025, 11, 25, 14, tzinfo=UTC)
    made = await api.webhook(receiver.url, isActive=False)
    for n in range(6):
        name = "email.opened" if n % 2 else "email.clicked"
        await app.event(tenant, type=name, created_at=at + timedelta(hours=n))

    async def total(**wish: Any) -> int:
        body = {"webhookId": made["id"], "from": BEGINNING, "dryRun": True} | wish
        answer = await api.post("/api/replays", body)
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
@pytest.mark.parametrize("way", ["/api/replays", "/api/webhooks/{id}/retry-failed"])
async def test_a_window_that_nothing_can_be_in_is_refused(
    api: Caller, way: str, window: dict[str, str]
) -> None:
    made = await api.webhook("http://127.0.0.1:9/", isActive=False)
    webhook = {"webhookId": made["id"]} if way == "/api/replays" else {}

    answer = await api.post(way.format(id=made["id"]), window | webhook)

    assert (answer.status, answer.pointers) == (422, ["#/from"])


async def test_a_replay_of_a_paused_webhook_waits_and_can_be_cancelled(
    api: Caller, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    await app.events(tenant, 50)
    await until(lambda: fanned_out(app))
    made = await api.webhook(receiver.url, isActive=False)
    begun = await api.post("/api/replays", {"webhookId": made["id"], "from": BEGINNING})
    listed = await api.get(f"/api/webhooks/{made['id']}/replays")

    cancelled = await api.post(f"/api/replays/{begun.json['id']}/cancel")
    await api.post(f"/api/webhooks/{made['id']}/resume")
    again = await api.post(f"/api/replays/{begun.json['id']}/cancel")

    assert listed.json == {"replays": [begun.json]}
    assert (begun.json["begun"], begun.json["paused"]) == (False, True)
    assert (cancelled.status, cancelled.json["status"]) == (200, "cancelled")
    assert cancelled.json["paused"] is False
    assert cancelled.json["finishedAt"] is not None
    assert again.json == cancelled.json
    assert await app.deliveries(UUID(made["id"])) == []


async def test_the_newest_replays_are_listed_first(
    api: Caller, app: Application, tenant: UUID
) -> None:
    made = await api.webhook("http://127.0.0.1:9/", isActive=False)
    wish = {"webhookId": made["id"], "from": BEGINNING}
    ids = [(await api.post("/api/replays", wish)).json["id"] for _ in range(3)]

    listed = await api.get(f"/api/webhooks/{made['id']}/replays", limit=2)

    assert [each["id"] for each in listed.json["replays"]] == [ids[2], ids[1]]


async def test_what_was_given_up_is_delivered_once_more_and_only_that(
    api: Caller, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    receiver.answer = lambda request: Reply(500 if request.event["data"]["n"] < 10 else 200)
    webhook = await app.webhook(tenant, receiver.url)
    for n in range(15):
        await app.event(tenant, {"n": n})
    await until(lambda: settled(app, webhook, "failed", 10))
    await until(lambda: settled(app, webhook, "success", 5))
    receiver.answer = lambda _: Reply()

    begun = await api.post(f"/api/webhooks/{webhook}/retry-failed", {"from": BEGINNING})
    await until(lambda: settled(app, webhook, "success", 15))
    again = await api.post(f"/api/webhooks/{webhook}/retry-failed", {"from": BEGINNING})

    shown = (await api.get(f"/api/replays/{begun.json['replayId']}")).json
    assert (begun.status, begun.json["count"]) == (202, 10)
    assert shown["source"] == "exhausted"
    assert again.json == {"count": 0, "replayId": None}
    assert len(receiver.received) == 25


async def test_the_guard_stands_before_a_replay_too(
    api: Caller, app: Application, tenant: UUID
) -> None:
    await app.events(tenant, 3)
    await until(lambda: fanned_out(app))
    webhook = await app.webhook(tenant, "http://169.254.169.254/latest")
    begun = await api.post("/api/replays", {"webhookId": str(webhook), "from": BEGINNING})
    await until(lambda: completed(api, begun.json["id"]))

    rows = await app.deliveries(webhook)
    assert {row["replay_id"] for row in rows} == {UUID(begun.json["id"])}
    assert {row["error_message"] for row in rows} == {
        "the host's address is not public; use a host on the public internet"
    }


async def test_a_filter_that_cannot_be_used_is_a_conflict(
    api: Caller, app: Application, tenant: UUID
) -> None:
    webhook = await app.webhook(tenant, "http://127.0.0.1:9/", filters={"filters": 5})

    answer = await api.post("/api/replays", {"webhookId": str(webhook), "from": BEGINNING})

    assert answer.status == 409
    assert "filters: must be an object" in answer.error


@pytest.mark.parametrize(
    ("wish", "status", "pointer"),
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
async def test_a_wish_that_makes_no_sense_is_refused(
    api: Caller, wish: dict[str, Any], status: int, pointer: str | None
) -> None:
    answer = await api.post("/api/replays", wish)

    assert answer.status == status
    assert pointer is None or pointer in answer.pointers


async def test_whatever_people_ask_for_holds_up_no_delivery(
    api: Caller, app: Application, database: str, tenant: UUID, receiver: Receiver
) -> None:
    made = await api.webhook(receiver.url)
    begun = await api.post("/api/replays", {"webhookId": made["id"], "from": BEGINNING})
    await until(lambda: completed(api, begun.json["id"]))
    person = await asyncpg.connect(database)
    transaction = person.transaction()
    await transaction.start()
    await person.execute("LOCK TABLE webhook_replays")
    asking = [asyncio.create_task(api.get(f"/api/replays/{begun.json['id']}")) for _ in range(20)]
    await until(lambda: waiting_for_locks(app, API_CONNECTIONS))
    for n in range(5):
        await app.event(tenant, {"n": n})
        await until(lambda n=n: settled(app, UUID(made["id"]), "success", n + 1), within=5)
    unanswered = [task for task in asking if not task.done()]
    await transaction.rollback()
    answers = await asyncio.gather(*asking)
    await person.close()

    assert len(unanswered) == 20
    assert {answer.status for answer in answers} == {200}


async def waiting_for_locks(app: Application, count: int) -> bool:
    waiting = await app.db.fetchval(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    return bool(waiting >= count)


async def test_a_replay_to_a_webhook_that_is_just_being_removed_is_none(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    async with serving_api(database, tenant) as api:
        webhook = (await api.webhook("http://127.0.0.1:9/"))["id"]
        async with app.db.transaction():
            await app.db.execute("DELETE FROM webhooks WHERE id = $1", webhook)
            body = {"webhookId": webhook, "from": "2020-01-01T00:00:00Z"}
            asking = asyncio.create_task(api.post("/api/replays", body))
            await asyncio.sleep(0.3)
            assert not asking.done()
        answer = await asking

    assert (answer.status, answer.error) == (404, "there is no such webhook")
