"""Deliveries and events over the API: list, retrieve, retry."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from daemon.core.event_types import EVENT_TYPES
from daemon.core.operational_event_types import OPERATIONAL_TYPES
from daemon.core.wire import signing
from daemon.store import listing
from daemon.store.bounded_texts import LONGEST_RESPONSE
from tests.support.api_client import ApiClient, serving_api
from tests.support.application import SECRET, Application
from tests.support.daemons import until
from tests.support.deliveries import insert_delivery, settled
from tests.support.receiver import Receiver, Reply

NO_RETRIES: dict[str, Any] = {"delivery": {"retry_schedule": []}}


@pytest.fixture
async def tenant(app: Application) -> UUID:
    return await app.tenant()


@pytest.fixture
async def api(database: str, tenant: UUID) -> AsyncIterator[ApiClient]:
    async with serving_api(database, tenant, **NO_RETRIES) as caller:
        yield caller


async def one_delivered(
    api: ApiClient,
    app: Application,
    tenant: UUID,
    receiver: Receiver,
    *,
    status: str = "success",
    path: str = "/hook",
) -> tuple[UUID, Any]:
    """A webhook and the detail of its only delivery."""
    webhook = await app.webhook(tenant, receiver.url + path)
    await app.event(tenant, {"n": 1.0, "text": "quote ' and \\ é 😀"})
    await until(lambda: settled(app, webhook, status, 1))
    listed = await api.get(f"/api/webhooks/{webhook}/deliveries")
    return webhook, (await api.get(f"/api/deliveries/{listed.json['deliveries'][0]['id']}")).json


async def test_a_delivery_shows_the_request_and_response_as_they_were_on_the_wire(
    api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(200, headers={"Content-Type": "text/plain"}, body=b"OK")

    path = "/hook?key=c4n4ry"
    webhook, shown = await one_delivered(api, app, tenant, receiver, path=path)

    [request] = receiver.received
    headers = {name.lower(): value for name, value in shown["request"]["headers"].items()}
    assert shown["webhookId"] == str(webhook)
    assert (shown["status"], shown["statusCode"], shown["attemptNumber"]) == ("success", 200, 1)
    assert headers == request.headers
    assert shown["request"]["body"].encode() == request.body
    assert shown["request"]["url"] == receiver.url + "/hook?…"
    assert shown["signature"] == signing.sign(request.body, SECRET)
    assert shown["response"]["statusCode"] == 200
    assert shown["response"]["headers"]["content-type"] == "text/plain"
    assert shown["response"]["body"] == "OK"
    assert shown["messageId"] == request.headers["webhook-id"]
    assert shown["timing"]["totalMs"] == shown["durationMs"]
    assert shown["timing"]["tlsMs"] is None
    assert shown["timing"]["connectMs"] is not None
    assert "c4n4ry" not in str(shown)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_curl_command_sends_the_same_signed_request(
    api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    _, shown = await one_delivered(api, app, tenant, receiver, path="/[1-9]/{a,b}")

    curl = await asyncio.create_subprocess_shell(shown["request"]["curl"] + " -s -o /dev/null")
    assert await asyncio.wait_for(curl.wait(), 10) == 0

    sent, again = receiver.received
    assert again.body == sent.body
    assert again.path == sent.path == "/[1-9]/{a,b}"
    ours = ("content-type", "user-agent", "x-penguinmails-signature", "webhook-signature")
    assert {name: again.headers[name] for name in ours} == {n: sent.headers[n] for n in ours}


async def test_deliveries_are_listed_newest_first_in_pages(
    api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    webhook = await app.webhook(tenant, receiver.url)
    await app.events(tenant, 7)
    await until(lambda: settled(app, webhook, "success", 7))

    pages, before = [], None
    while True:
        query = {"limit": 3} | ({"before": before} if before else {})
        page = (await api.get(f"/api/webhooks/{webhook}/deliveries", **query)).json
        pages.append([each["id"] for each in page["deliveries"]])
        if (before := page["next"]) is None:
            break

    rows = await app.db.fetch(
        "SELECT id FROM webhook_deliveries ORDER BY attempted_at DESC, id DESC"
    )
    assert [len(page) for page in pages] == [3, 3, 1]
    assert [each for page in pages for each in page] == [str(row["id"]) for row in rows]


async def all_pages(api: ApiClient, path: str, member: str, **query: Any) -> tuple[list[Any], int]:
    """The entries of all pages, and the number of pages."""
    found, pages, before = [], 0, None
    while pages == 0 or before is not None:
        page = (await api.get(path, **query, **({"before": before} if before else {}))).json
        found += page[member]
        before, pages = page["next"], pages + 1
    return found, pages


async def test_rare_deliveries_are_found_across_short_pages(
    api: ApiClient,
    app: Application,
    tenant: UUID,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listing, "MAX_ROWS_READ", 10)
    receiver.answer = lambda request: Reply(500 if request.event["data"]["n"] in (0, 7) else 200)
    webhook = await app.webhook(tenant, receiver.url)
    for n in range(35):
        await app.event(tenant, {"n": n}, type="email.bounced" if n == 3 else "email.opened")
    await until(lambda: settled(app, webhook, "success", 33))
    await until(lambda: settled(app, webhook, "failed", 2))

    path = f"/api/webhooks/{webhook}/deliveries"
    failed, pages = await all_pages(api, path, "deliveries", status="failed")
    waiting, _ = await all_pages(api, path, "deliveries", status="pending_retry")
    events, _ = await all_pages(api, "/api/events", "events", type="email.bounced")

    assert (len(failed), pages) == (2, 4)
    assert waiting == []
    assert len(events) == 1


async def test_deliveries_can_be_filtered_by_status_type_and_time(
    api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    receiver.answer = lambda request: Reply(500 if request.event["data"]["n"] == 1 else 200)
    webhook = await app.webhook(tenant, receiver.url)
    await app.event(tenant, {"n": 1})
    await app.event(tenant, {"n": 2}, type="email.clicked")
    await until(lambda: settled(app, webhook, "failed", 1))
    await until(lambda: settled(app, webhook, "success", 1))
    now = datetime.now(UTC)
    earlier, later = (now - timedelta(hours=1)).isoformat(), (now + timedelta(hours=1)).isoformat()

    async def found(**query: Any) -> list[str]:
        answer = await api.get(f"/api/webhooks/{webhook}/deliveries", **query)
        assert answer.status == 200, answer
        return sorted(each["eventType"] for each in answer.json["deliveries"])

    assert await found(status="failed") == ["email.opened"]
    assert await found(status="pending_retry") == []
    assert await found(eventType="email.clicked") == ["email.clicked"]
    assert await found(**{"from": earlier, "to": later}) == ["email.clicked", "email.opened"]
    assert await found(before=earlier) == []
    assert await found(before=earlier.replace("+", " ")) == []
    assert await found(**{"from": later}) == []


async def test_exhausted_deliveries_differ_from_failed_attempts_that_were_retried(
    database: str, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    receiver.answer = lambda request: Reply(500 if request.event["data"]["n"] < 3 else 200)
    webhook = await app.webhook(tenant, receiver.url)
    async with serving_api(database, tenant, delivery={"retry_schedule": ["10ms"]}) as api:
        for n in range(5):
            await app.event(tenant, {"n": n})
        await until(lambda: settled(app, webhook, "failed", 6))
        await until(lambda: settled(app, webhook, "success", 2))

        async def found(status: str) -> list[Any]:
            answer = await api.get(f"/api/webhooks/{webhook}/deliveries", status=status)
            return list(answer.json["deliveries"])

        exhausted, failed, delivered = [await found(s) for s in ("exhausted", "failed", "success")]
        in_full = (await api.get(f"/api/deliveries/{exhausted[0]['id']}")).json

    assert {(each["attemptNumber"], each["exhausted"]) for each in exhausted} == {(2, True)}
    assert sorted((each["attemptNumber"], each["exhausted"]) for each in failed) == [
        *[(1, False)] * 3,
        *[(2, True)] * 3,
    ]
    assert [each["exhausted"] for each in delivered] == [False, False]
    assert (in_full["exhausted"], in_full["siblings"][0]["exhausted"]) == (True, False)


@pytest.mark.parametrize(
    "query",
    [
        {"status": "done"},
        {"limit": 500},
        {"before": "yesterday"},
        {"from": "2025-11-25"},
        {"from": "2025-11-25T14:30:00"},
        {"page": 2},
    ],
)
async def test_an_invalid_query_of_a_list_is_rejected(
    api: ApiClient, app: Application, tenant: UUID, query: dict[str, Any]
) -> None:
    webhook = await app.webhook(tenant, "http://127.0.0.1:9/")

    assert (await api.get(f"/api/webhooks/{webhook}/deliveries", **query)).status == 422


async def test_a_page_before_an_unknown_id_is_a_404(
    api: ApiClient, app: Application, tenant: UUID
) -> None:
    webhook = await app.webhook(tenant, "http://127.0.0.1:9/")

    for path in (f"/api/webhooks/{webhook}/deliveries", "/api/events"):
        assert (await api.get(path, before=uuid4())).status == 404


async def test_a_retry_of_an_exhausted_delivery_sends_the_same_event_again(
    api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(500)
    webhook, shown = await one_delivered(api, app, tenant, receiver, status="failed")
    receiver.answer = lambda _: Reply()

    retried = await api.post(f"/api/deliveries/{shown['id']}/retry")
    await until(lambda: settled(app, webhook, "success", 1))

    again = (await api.get(f"/api/deliveries/{retried.json['id']}")).json
    first, second = receiver.received
    assert retried.status == 202
    assert (again["status"], again["attemptNumber"]) == ("success", 2)
    assert second.body == first.body
    assert [each["id"] for each in again["siblings"]] == [shown["id"]]


async def test_a_retry_to_a_paused_webhook_is_a_conflict(
    api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    webhook, shown = await one_delivered(api, app, tenant, receiver)
    await api.post(f"/api/webhooks/{webhook}/pause")

    answer = await api.post(f"/api/deliveries/{shown['id']}/retry")

    assert (answer.status, answer.error) == (409, "the webhook is paused: resume it first")


async def test_a_manual_retry_obeys_the_egress_rules(
    api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    webhook, shown = await one_delivered(api, app, tenant, receiver)
    await app.db.execute("UPDATE webhooks SET endpoint_url = 'http://169.254.169.254/latest'")

    retried = await api.post(f"/api/deliveries/{shown['id']}/retry")
    await until(lambda: settled(app, webhook, "failed", 1))

    again = (await api.get(f"/api/deliveries/{retried.json['id']}")).json
    assert (
        again["errorMessage"]
        == "the host's address is not public; use a host on the public internet"
    )
    assert (again["request"], again["response"]) == (None, None)


async def test_a_large_body_is_shown_cut_and_without_a_curl_command(
    api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    webhook = await app.webhook(tenant, receiver.url)
    await app.event(tenant, {str(n): [1.0, "ü"] for n in range(40_000)})
    await until(lambda: settled(app, webhook, "success", 1))
    [row] = await app.deliveries(webhook)

    shown = (await api.get(f"/api/deliveries/{row['id']}")).json["request"]

    [sent] = receiver.received
    assert (shown["bodyCut"], shown["bodySize"], shown["curl"]) == (True, len(sent.body), None)
    assert sent.body.startswith(shown["body"].encode())


LARGEST = '{"a": "' + "x" * (1024 * 1024 - 9) + '"}'
DATA = {
    "at the limit": (LARGEST, False),
    "above the limit": (LARGEST.replace('"}', 'x"}'), True),
}


@pytest.mark.parametrize(("text", "cut"), DATA.values(), ids=DATA)
async def test_an_event_is_shown_with_data_up_to_1_mib(
    api: ApiClient, app: Application, tenant: UUID, text: str, cut: bool
) -> None:
    event = await app.event(tenant, text=text)

    shown = await api.get(f"/api/events/{event}")

    assert shown.status == 200
    assert (shown.json["dataCut"], shown.json["dataSize"]) == (cut, len(text))
    assert shown.json["data"] == (None if cut else orjson.loads(text))


async def test_texts_that_the_application_wrote_are_shown_up_to_a_length(
    api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    webhook, shown = await one_delivered(api, app, tenant, receiver)
    for length in (2_000, 100_000):
        await app.db.execute(
            """UPDATE webhook_deliveries
                  SET error_message = repeat('e', $2), response_body = repeat('b', 30 * $2)
                WHERE webhook_id = $1""",
            webhook,
            length,
        )

        listed = await api.get(f"/api/webhooks/{webhook}/deliveries")
        detail = await api.get(f"/api/deliveries/{shown['id']}")

        assert listed.json["deliveries"][0]["errorMessage"] == "e" * 2_000
        assert detail.json["errorMessage"] == "e" * 2_000
        assert len(detail.json["response"]["body"]) == min(30 * length, LONGEST_RESPONSE)
        assert detail.json["request"]["headers"] == shown["request"]["headers"]


async def test_an_event_is_shown_with_its_deliveries(
    api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    one, two = [await app.webhook(tenant, f"{receiver.url}/{n}") for n in range(2)]
    event = await app.event(tenant, {"n": 1})
    await until(lambda: settled(app, one, "success", 1))
    await until(lambda: settled(app, two, "success", 1))

    listed = await api.get("/api/events")
    shown = await api.get(f"/api/events/{event}")
    by_message_id = await api.get(f"/api/events/evt_{event.hex}")

    assert [each["id"] for each in listed.json["events"]] == [str(event)]
    assert shown.json["data"] == {"n": 1}
    assert {each["webhookId"] for each in shown.json["deliveries"]} == {str(one), str(two)}
    assert by_message_id.json == shown.json


async def test_events_are_listed_newest_first_by_type_and_time(
    api: ApiClient, app: Application, tenant: UUID
) -> None:
    at = datetime(2025, 11, 25, 14, 30, tzinfo=UTC)
    types = ["email.opened", "email.clicked", "email.opened", "email.sent"]
    events = [
        await app.event(tenant, type=name, created_at=at + timedelta(minutes=n))
        for n, name in enumerate(types)
    ]

    async def found(**query: Any) -> list[UUID]:
        answer = await api.get("/api/events", **query)
        return [UUID(each["id"]) for each in answer.json["events"]]

    assert await found() == events[::-1]
    assert await found(type="email.opened") == [events[2], events[0]]
    assert await found(limit=2) == [events[3], events[2]]
    assert await found(before=events[2]) == [events[1], events[0]]
    assert await found(**{"from": "2025-11-25T14:31:00Z", "to": "2025-11-25T14:33:00Z"}) == [
        events[2],
        events[1],
    ]


async def test_the_13_event_types_and_the_operational_ones_are_listed_with_samples(
    api: ApiClient,
) -> None:
    types = (await api.get("/api/event-types")).json["eventTypes"]

    assert [(each["name"], each["operational"]) for each in types] == [
        *((each.name, False) for each in EVENT_TYPES),
        *((each.name, True) for each in OPERATIONAL_TYPES),
    ]
    assert all(set(each["fields"]) <= set(each["sample"]) for each in types)


async def test_the_attempts_of_one_event_are_listed_by_its_id(
    api: ApiClient, app: Application, receiver: Receiver
) -> None:
    webhook = UUID((await api.create_webhook(receiver.url))["id"])
    event = uuid4()
    at = datetime(2025, 1, 2, tzinfo=UTC)
    ids = [
        await insert_delivery(
            *(app, webhook),
            event_id=event,
            status="failed",
            attempt_number=number,
            attempted_at=at + timedelta(minutes=number),
            next_retry_at=None,
        )
        for number in (1, 2, 3)
    ]
    await insert_delivery(app, webhook, attempted_at=at)
    path = f"/api/webhooks/{webhook}/deliveries"

    listed = (await api.get(path, eventId=event)).json
    first = (await api.get(path, eventId=event, limit=2)).json
    rest = (await api.get(path, eventId=event, before=first["next"])).json
    exhausted = (await api.get(path, eventId=event, status="exhausted")).json

    assert [each["id"] for each in listed["deliveries"]] == [str(each) for each in ids[::-1]]
    assert listed["next"] is None
    assert [each["id"] for each in rest["deliveries"]] == [str(ids[0])]
    assert [each["id"] for each in exhausted["deliveries"]] == [str(ids[2])]
