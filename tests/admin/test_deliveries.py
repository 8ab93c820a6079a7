"""Deliveries and events over the API: list, retrieve, retry."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from daemon.core.wire import signing
from daemon.store import listing
from tests.support.api_client import ApiClient, serving_api
from tests.support.application import SECRET, Application
from tests.support.daemons import until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver, Reply
from tests.support.shown_deliveries import one_delivered

NO_RETRIES: dict[str, Any] = {"delivery": {"retry_schedule": []}}


@pytest.fixture
async def api(database: str, tenant: UUID) -> AsyncIterator[ApiClient]:
    async with serving_api(database, tenant, **NO_RETRIES) as caller:
        yield caller


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
