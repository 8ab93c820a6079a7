"""What the API answers about replays: what they would do, what came of them, what to do next."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.support.api_client import ApiClient, serving_api
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.deliveries import inbox_is_empty, insert_delivery
from tests.support.receiver import Receiver, Reply
from tests.support.replays import store_events

BEGINNING = "2020-01-01T00:00:00Z"


@pytest.fixture
async def api(database: str, tenant: UUID) -> AsyncIterator[ApiClient]:
    # Every event is to fail at once and for good.
    delivery = {"retry_schedule": [], "failing_backoff": "0s"}
    async with serving_api(database, tenant, delivery=delivery) as caller:
        yield caller


async def ended(api: ApiClient, replay: str) -> dict[str, Any]:
    async def has_ended() -> bool:
        answer = (await api.get(f"/api/replays/{replay}")).json
        return bool(answer["status"] == "completed" and answer["waiting"] == 0)

    await until(has_ended)
    shown: dict[str, Any] = (await api.get(f"/api/replays/{replay}")).json
    return shown


@pytest.mark.full
async def test_of_identical_requests_one_creates_a_replay(
    api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(after=0.05)
    await store_events(app, tenant, 20)
    webhook = (await api.create_webhook(receiver.url, isActive=False))["id"]
    body = {"webhookId": webhook, "from": BEGINNING, "eventTypes": ["email.*", "x"]}
    same = body | {"eventTypes": ["x", "email.*", "x"], "dryRun": False}

    # Two at once: a tenant may have no more counted.
    answers = [
        answer
        for _ in range(2)
        for answer in await asyncio.gather(
            *(api.post("/api/replays", each) for each in (body, same))
        )
    ]
    [running] = [each.json["id"] for each in answers if each.status == 202]
    others = [
        await api.post("/api/replays", each)
        for each in (
            body | {"eventTypes": ["email.*"]},
            body | {"from": "2020-01-01T00:00:01Z"},
            body | {"onlyUndelivered": True},
        )
    ]
    for each in others:
        await api.post(f"/api/replays/{each.json['id']}/cancel")
    await api.post(f"/api/webhooks/{webhook}/resume")
    shown = await ended(api, running)
    again = await api.post("/api/replays", body)

    refused = [each for each in answers if each.status == 409]
    assert len(refused) == 3
    assert {each.json["id"] for each in refused} == {running}
    assert {each.error for each in refused} == {f"the same replay is running already: {running}"}
    assert [each.status for each in others] == [202] * 3
    assert (shown["sent"], shown["delivered"]) == (20, 20)
    assert again.status == 202


async def test_a_dry_run_says_what_was_delivered_and_what_nobody_can_tell(
    api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    events = await store_events(app, tenant, 10)
    webhook = (await api.create_webhook(receiver.url))["id"]
    old = "UPDATE webhook_events SET received_at = now() - interval '40 days' WHERE id = ANY ($1)"
    await app.db.execute(old, events[:3])
    await app.db.execute("UPDATE webhooks SET created_at = '2020-01-01'")
    change = "UPDATE webhook_events SET data_changed_at = now() WHERE id = $1"
    await app.db.execute(change, events[9])
    for event in events[2:5]:
        await insert_delivery(
            app, UUID(webhook), event_id=event, status="success", next_retry_at=None
        )
    body = {"webhookId": webhook, "from": BEGINNING, "dryRun": True}

    everything = await api.post("/api/replays", body)
    missing = await api.post("/api/replays", body | {"onlyUndelivered": True})
    nothing = await api.post("/api/replays", body | {"eventTypes": ["contact.created"]})
    begun = await api.post("/api/replays", body | {"onlyUndelivered": True, "dryRun": False})

    figures = {"deliveredBefore": 3, "unknown": 2, "changed": 1, "reason": None}
    assert everything.json == figures | {"total": 10}
    assert missing.json == figures | {"total": 5}
    none = "none of the 10 events of that time has one of these types"
    assert (nothing.json["total"], nothing.json["reason"]) == (0, none)
    shown = await ended(api, begun.json["id"])
    assert (begun.json["total"], begun.json["onlyUndelivered"]) == (5, True)
    assert (shown["delivered"], shown["changed"]) == (5, 1)
    assert len(receiver.received) == 5


async def test_a_replay_without_events_says_why(
    api: ApiClient, app: Application, tenant: UUID
) -> None:
    await store_events(app, tenant, 3)
    webhook = await api.create_webhook("http://127.0.0.1:9/", eventTypes=["email.clicked"])

    begun = await api.post(
        "/api/replays",
        {"webhookId": webhook["id"], "from": BEGINNING, "eventTypes": ["email.opened"]},
    )

    reason = "the webhook does not subscribe to email.opened"
    assert (begun.status, begun.json["total"], begun.json["reason"]) == (202, 0, reason)
    assert (await ended(api, begun.json["id"]))["reason"] == reason


async def test_what_was_given_up_in_a_replay_is_retried(
    api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    receiver.answer = lambda request: Reply(500 if request.event["data"]["n"] < 4 else 200)
    webhook = await api.create_webhook(receiver.url, isActive=False)
    other = await api.create_webhook(receiver.url + "/other", isActive=False)
    for n in range(10):
        await store_events(app, tenant, 1, data=f'{{"n": {n}}}')
    await insert_delivery(app, UUID(webhook["id"]), status="failed", next_retry_at=None)
    for each in (webhook, other):
        await api.post(f"/api/webhooks/{each['id']}/resume")
    begun = [
        (await api.post("/api/replays", {"webhookId": each["id"], "from": BEGINNING})).json["id"]
        for each in (webhook, other)
    ]
    first = await ended(api, begun[0])
    await ended(api, begun[1])
    receiver.answer = lambda _: Reply(200)

    retried = await api.post(f"/api/replays/{begun[0]}/retry-failed")
    second = await ended(api, retried.json["replayId"])
    nothing = await api.post(f"/api/replays/{begun[0]}/retry-failed")
    unknown = await api.post(f"/api/replays/{uuid4()}/retry-failed")

    assert [first[name] for name in ("total", "delivered", "failed", "waiting")] == [10, 6, 4, 0]
    assert (retried.status, retried.json["count"]) == (202, 4)
    assert [second[name] for name in ("total", "delivered", "failed")] == [4, 4, 0]
    assert second["ofReplayId"] == begun[0]
    assert (nothing.status, nothing.json) == (202, {"count": 0, "replayId": None})
    assert unknown.status == 404


async def test_replays_of_all_webhooks_are_listed_page_by_page_newest_first(
    api: ApiClient, app: Application, receiver: Receiver
) -> None:
    webhooks = [(await api.create_webhook(receiver.url))["id"] for _ in range(2)]
    begun = []
    for number in range(5):
        body = {"webhookId": webhooks[number % 2], "from": f"2020-01-0{number + 1}T00:00:00Z"}
        begun.append((await api.post("/api/replays", body)).json["id"])
    other = api.as_tenant(await app.tenant())

    first = (await api.get("/api/replays", limit=2)).json
    second = (await api.get("/api/replays", limit=2, before=first["next"])).json
    last = (await api.get("/api/replays", before=second["replays"][1]["id"])).json
    of_one = (await api.get(f"/api/webhooks/{webhooks[0]}/replays", limit=2)).json
    strange = await other.get("/api/replays", before=begun[0])

    found = [[each["id"] for each in page["replays"]] for page in (first, second, last, of_one)]
    newest = begun[::-1]
    assert found == [newest[:2], newest[2:4], newest[4:], [begun[4], begun[2]]]
    assert last["next"] is None
    assert of_one["next"] is not None
    assert (strange.status, (await other.get("/api/replays")).json["replays"]) == (404, [])


async def test_a_replay_of_a_pause_sends_exactly_the_events_that_came_in_meanwhile(
    api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    webhook = (await api.create_webhook(receiver.url))["id"]
    assert (await api.get(f"/api/webhooks/{webhook}/pauses")).json == {"pauses": []}

    async def delivered(count: int) -> bool:
        return len(receiver.received) >= count

    await app.event(tenant)
    await until(lambda: delivered(1))
    await api.post(f"/api/webhooks/{webhook}/pause")
    missed = {f"evt_{(await app.event(tenant)).hex}" for _ in range(5)}
    await until(lambda: inbox_is_empty(app))
    await api.post(f"/api/webhooks/{webhook}/resume")
    await app.event(tenant)
    await until(lambda: delivered(2))
    [pause] = (await api.get(f"/api/webhooks/{webhook}/pauses")).json["pauses"]
    body = {"webhookId": webhook, "from": pause["from"], "to": pause["to"]}
    begun = (await api.post("/api/replays", body | {"onlyUndelivered": True})).json

    shown = await ended(api, begun["id"])

    assert (pause["by"], shown["total"], shown["delivered"]) == ("person", 5, 5)
    assert {each.headers["webhook-id"] for each in receiver.received[2:]} == missed
