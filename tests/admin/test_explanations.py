"""Explanations, previews of filters and undelivered events over the API."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from daemon.core.wire.json_value import parse_matched
from daemon.service import API_CONNECTIONS
from daemon.store import event_data_reader
from tests.support.api_client import ApiClient, serving_api
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.deliveries import settled
from tests.support.failing import set_failing
from tests.support.receiver import Receiver, Reply
from tests.support.replays import YESTERDAY, store_events

URL = "http://127.0.0.1:9/"


@pytest.fixture
async def api(database: str, tenant: UUID) -> AsyncIterator[ApiClient]:
    async with serving_api(database, tenant) as caller:
        yield caller


async def test_an_event_is_explained_by_either_id_also_at_a_deleted_webhook(
    api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    good = await app.webhook(tenant, receiver.url)
    picky = await app.webhook(tenant, receiver.url, filters={"filters": {"contact.tags": "vip"}})
    paused = await app.webhook(tenant, receiver.url)
    assert (await api.post(f"/api/webhooks/{paused}/pause")).status == 200
    event = await app.event(tenant, {"contact": {"tags": ["new", "\u202e"]}})
    await until(lambda: settled(app, good, "success", 1))
    [sent] = await app.deliveries(good)

    delivered = (await api.get(f"/api/webhooks/{good}/explain", eventId=event)).json
    path = f"/api/webhooks/{picky}/explain"
    filtered = (await api.get(path, eventId=f"evt_{event.hex}")).json
    at_paused = (await api.get(f"/api/webhooks/{paused}/explain", eventId=event)).json
    await api.delete(f"/api/webhooks/{picky}")
    deleted = (await api.get(path, eventId=event)).json

    assert delivered["outcome"] == "delivered"
    assert delivered["deliveryIds"] == [str(sent["id"])]
    assert delivered["messageId"] == f"evt_{event.hex}"
    assert filtered["outcome"] == deleted["outcome"] == "filtered"
    told = filtered["mismatch"]
    assert (told["member"], told["path"], told["wanted"]) == ("filters", "contact.tags", ["vip"])
    assert set(told["found"]) == {"new", "\u202e"}
    assert "\\u202e" in filtered["reason"]
    assert at_paused["outcome"] == "paused"
    assert at_paused["pause"]["by"] == "person"
    assert at_paused["pause"]["from"] < at_paused["receivedAt"]
    assert at_paused["pause"]["to"] is None


async def test_large_events_that_many_tenants_explain_leave_connections_to_everyone_else(
    api: ApiClient, app: Application, tenant: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_data_reader, "WAIT_SECONDS", 0.2)
    may_parse = threading.Event()
    monkeypatch.setattr(
        event_data_reader,
        "parse_matched",
        lambda text: (may_parse.wait(60), parse_matched(text))[1],
    )
    await app.db.execute("ALTER TABLE webhook_events DISABLE TRIGGER webhook_events_arrived")
    asked = []
    for _ in range(API_CONNECTIONS + 2):
        other = await app.tenant()
        webhook = await app.webhook(other, URL, filters={"filters": {"a": "1"}})
        event = await app.event(other, {"a": "2", "x": "x" * 100_000})
        asked.append((api.as_tenant(other), f"/api/webhooks/{webhook}/explain", event))
    try:
        waiting = [
            asyncio.create_task(each.get(path, eventId=event)) for each, path, event in asked
        ]
        # Those that wait for their turn are refused; one is being parsed.
        await until(lambda: sum(each.done() for each in waiting) == len(asked) - 1)
        listed = await api.get("/api/webhooks")
    finally:
        may_parse.set()
    answers = [await each for each in waiting]

    assert listed.status == 200
    assert sorted(each.status for each in answers) == [200, *[503] * (len(asked) - 1)]
    assert {each.headers.get("Retry-After") for each in answers} == {None, "5"}
    [explained] = [each.json["outcome"] for each in answers if each.status == 200]
    assert explained == "filtered"


async def test_what_is_unknown_or_another_tenant_s_is_a_404_and_an_odd_id_a_422(
    api: ApiClient, app: Application, tenant: UUID
) -> None:
    webhook = await app.webhook(tenant, "https://a.example")
    other = await app.tenant()
    theirs = await app.event(other)
    path = f"/api/webhooks/{webhook}/explain"

    answers = [
        await api.get(path, eventId=theirs),
        await api.get(path, eventId=uuid4()),
        await api.get(f"/api/webhooks/{uuid4()}/explain", eventId=theirs),
        await api.as_tenant(other).get(path, eventId=theirs),
        await api.as_tenant(other).get(f"/api/webhooks/{webhook}/undelivered"),
        await api.get(path, eventId="evt_test_x"),
        await api.get(path),
    ]

    assert [each.status for each in answers] == [404, 404, 404, 404, 404, 422, 422]
    assert answers[0].error == "eventId: this tenant has no event with this id"
    assert answers[2].error == "this tenant has no webhook with this id"


async def test_a_preview_counts_the_latest_events_and_shows_some_of_each_kind(
    api: ApiClient, app: Application, tenant: UUID
) -> None:
    await app.db.execute("ALTER TABLE webhook_events DISABLE TRIGGER webhook_events_arrived")
    for n in range(12):
        await app.event(tenant, {"n": n % 3}, type="email.sent" if n < 5 else "email.opened")
    await app.event(tenant, {"n": 1, "x": "x" * 70_000})
    await app.event(await app.tenant(), {"n": 1})
    body = {"eventTypes": ["email.opened"], "eventFilters": {"filters": {"n": [1, 2]}}}
    token = await api.post("/api/tenant-tokens", {"tenantId": str(tenant), "scope": "read"})

    found = (await api.with_token(token.json["token"]).post("/api/filters/preview", body)).json
    everything = (await api.post("/api/filters/preview", {})).json
    audit = (await api.get("/api/audit")).json["records"]

    kinds = [each["outcome"] for each in found["examples"]]
    assert (found["looked"], found["matched"], found["skipped"]) == (13, 5, 1)
    assert {each: kinds.count(each) for each in kinds} == {
        "matched": 3,
        "filtered": 2,
        "not_subscribed": 3,
    }
    [filtered, *_] = [each for each in found["examples"] if each["outcome"] == "filtered"]
    assert filtered["reason"] == "Its n is 0, and the webhook wanted 1 or 2."
    assert filtered["mismatch"]["found"] == [0]
    assert (everything["looked"], everything["matched"]) == (13, 13)
    assert everything["lookedUpTo"] is not None
    assert "previewFilter" not in {each["action"] for each in audit}


async def test_a_preview_refuses_what_a_webhook_could_not_have_and_an_empty_tenant_has_none(
    api: ApiClient, tenant: UUID
) -> None:
    bad: Any = {"eventFilters": {"filters": {"a..b": 1}}}
    webhook = {"name": "w", "endpointUrl": "https://example.com/"}

    refused = await api.post("/api/filters/preview", bad)
    same = await api.post("/api/webhooks", webhook | bad)
    empty = (await api.post("/api/filters/preview", {"eventTypes": ["a.*"]})).json

    assert (refused.status, refused.error) == (same.status, same.error)
    assert refused.status == 422
    assert (empty["looked"], empty["examples"], empty["lookedUpTo"]) == (0, [], None)


async def test_undelivered_events_are_listed_by_pages_and_counted(
    api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    webhook = await app.webhook(tenant, receiver.url)
    await app.db.execute("UPDATE webhooks SET created_at = '2020-01-01T00:00:00Z'")
    events = await store_events(app, tenant, 7)
    await app.db.execute("UPDATE webhook_events SET received_at = created_at")
    window = {"from": YESTERDAY.isoformat(), "to": (YESTERDAY + timedelta(hours=1)).isoformat()}
    path = f"/api/webhooks/{webhook}/undelivered"
    pages = [(await api.get(path, limit=3, **window)).json]
    while pages[-1]["next"] is not None:
        pages.append((await api.get(path, limit=3, before=pages[-1]["next"], **window)).json)

    async def counted() -> bool:
        return bool((await api.get(path, **window)).json["complete"])

    await until(counted)
    last = (await api.get(path, **window)).json
    outside = (await api.get(path)).json
    empty_range = await api.get(path, **{"from": window["to"], "to": window["from"]})

    listed = [each["id"] for page in pages for each in page["events"]]
    assert listed == [str(each) for each in reversed(events)]
    assert [len(page["events"]) for page in pages[:2]] == [3, 3]
    assert {each["outcome"] for each in last["events"]} == {"unknown"}
    assert (last["total"], last["unknown"], last["countedUpTo"]) == (7, 0, None)
    assert last["from"] == YESTERDAY.isoformat().replace("+00:00", "Z")
    assert outside["events"] == [] or outside["from"] <= last["from"]
    assert (empty_range.json["events"], empty_range.json["next"]) == ([], None)


async def test_a_webhook_shows_what_the_spacing_of_its_attempts_does(
    api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(500)
    webhook = await app.webhook(tenant, receiver.url)
    path = f"/api/webhooks/{webhook}"
    active = (await api.get(path)).json
    await set_failing(app, webhook)
    await app.db.execute("UPDATE webhooks SET failed_probes = 3")
    failing = (await api.get(path)).json
    await api.post(f"{path}/pause")
    paused = (await api.get(path)).json

    assert [each["state"] for each in (active, failing, paused)] == ["active", "failing", "paused"]
    assert [active[name] for name in ("failingSince", "failedProbes", "nextProbeAt")] == [
        *(None, 0, None),
    ]
    assert failing["failedProbes"] == 3
    assert failing["failingSince"] < failing["nextProbeAt"]
    assert paused["nextProbeAt"] is None


async def test_webhooks_are_listed_by_state_and_by_a_part_of_the_name_or_the_url(
    api: ApiClient, app: Application, tenant: UUID
) -> None:
    webhooks = [
        await app.webhook(tenant, f"https://{name}.example/Hook?x=1") for name in ("a", "b", "c")
    ]
    await set_failing(app, webhooks[1])
    await app.db.execute(
        "UPDATE webhooks SET is_active = false, is_failing = true WHERE id = $1", webhooks[2]
    )
    await app.db.execute("UPDATE webhooks SET name = 'Invoices %' WHERE id = $1", webhooks[0])

    async def listed(**query: str) -> list[int]:
        found = (await api.get("/api/webhooks", **query)).json["webhooks"]
        return sorted(webhooks.index(UUID(each["id"])) for each in found)

    by_state = [await listed(state=state) for state in ("active", "failing", "paused")]
    searched = [
        await listed(search=text) for text in ("INVOICES", "%", "B.EXAMPLE/hook", "a webhook", "_")
    ]

    assert by_state == [[0], [1], [2]]
    assert searched == [[0], [0], [1], [1, 2], []]
    assert await listed(state="failing", search="c.example") == []
    assert (await api.get("/api/webhooks", state="broken")).status == 422


async def test_types_that_are_arrays_of_arrays_are_counted_like_others(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, "http://127.0.0.1:9/")
    await app.db.execute("UPDATE webhooks SET event_types = '{{a,b},{c,d}}'")
    event = await app.event(tenant)
    async with serving_api(database, tenant, log={"level": "warning"}) as api:
        counted = await api.get(f"/api/webhooks/{webhook}/undelivered")
        explained = await api.get(f"/api/webhooks/{webhook}/explain", eventId=event)
        shown = await api.get(f"/api/webhooks/{webhook}")

    assert [each.status for each in (counted, explained, shown)] == [200, 200, 200]
