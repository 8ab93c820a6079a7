"""Test events over the API: the real sender and egress rules, and no effect on the webhook."""

import socket
from typing import Any
from uuid import UUID

import pytest

from daemon.core.event_types import EVENT_TYPES, sample_data
from daemon.core.wire import signing
from tests.support.api_client import ApiClient, send_test, serving_api
from tests.support.application import Application
from tests.support.daemons import free_port, until
from tests.support.deliveries import inbox_is_empty
from tests.support.hostile import HTTP, hostile, responding_with, silent
from tests.support.receiver import Receiver, Reply


async def test_a_test_event_is_sent_at_once_and_its_result_is_shown(
    api: ApiClient, receiver: Receiver
) -> None:
    status, result, created = await send_test(api, receiver.url + "/hook")

    [request] = receiver.received
    event = request.event
    assert (status, result["success"], result["statusCode"]) == (200, True, 200)
    assert event["id"].startswith("evt_test_")
    assert list(event) == ["id", "type", "created_at", "data"]
    assert (event["type"], event["data"]) == ("email.opened", sample_data("email.opened"))
    assert (result["eventId"], result["dataFrom"]) == (event["id"], "sample")
    assert request.headers["webhook-id"] == event["id"]
    assert request.headers["x-penguinmails-signature"] == signing.sign(
        request.body, created["secretKey"]
    )
    assert result["request"]["body"].encode() == request.body
    assert (result["request"]["bodyCut"], result["request"]["bodySize"]) == (
        False,
        len(request.body),
    )
    assert result["request"]["url"] == receiver.url + "/hook"
    assert result["response"] == {
        "statusCode": 200,
        "headers": {"content-length": "2"},
        "body": "OK",
    }
    assert result["durationMs"] == result["timing"]["totalMs"]


@pytest.mark.parametrize("name", [each.name for each in EVENT_TYPES])
async def test_any_of_the_13_types_can_be_tested(
    api: ApiClient, receiver: Receiver, name: str
) -> None:
    status, result, _ = await send_test(api, receiver.url, {"eventType": name})

    assert (status, result["eventType"]) == (200, name)
    assert receiver.received[0].headers["x-penguinmails-event"] == name


NOT_FOUND = "No stored event of the type {} was found, so sample data were sent."
NOTES: dict[str, tuple[dict[str, Any], str | None]] = {
    "nothing was asked for": ({}, NOT_FOUND.format("email.opened")),
    "sample data were asked for": ({"sample": True}, None),
    "no event has the campaign and the contact": (
        {"campaignId": "camp_1\n", "contactId": "a@b.com"},
        NOT_FOUND.format("email.opened that names the campaign camp_1\\n and the contact a@b.com"),
    ),
    "a type is misspelt": (
        {"eventType": "email.opend", "sample": True},
        "The type is none of the 13 event types; did you mean email.opened?",
    ),
    "a type is the application's own": (
        {"eventType": "Ünbekannt 1"},
        NOT_FOUND.format("Ünbekannt 1") + " The type is none of the 13 event types.",
    ),
}


@pytest.mark.parametrize(("body", "note"), NOTES.values(), ids=NOTES)
async def test_a_note_says_why_sample_data_are_sent(
    api: ApiClient, receiver: Receiver, body: dict[str, Any], note: str | None
) -> None:
    status, result, _ = await send_test(api, receiver.url, body)

    assert (status, result["dataFrom"], result["note"]) == (200, "sample", note)


async def test_a_type_of_the_application_s_own_has_its_event_s_data_or_a_minimal_sample(
    own_api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    created = await own_api.create_webhook(receiver.url, isActive=False)
    body = {"eventType": "order paid"}
    path = f"/api/webhooks/{created['id']}/test"
    await own_api.post(path, body)
    await app.event(tenant, {"order": 1}, type="order paid")

    answer = await own_api.post(path, body)

    assert (answer.json["dataFrom"], answer.json["note"]) == ("event", None)
    sample, stored = (request.event for request in receiver.received)
    assert (sample["type"], sample["data"]) == ("order paid", {"sample": True})
    assert (stored["type"], stored["data"]) == ("order paid", {"order": 1})
    assert receiver.received[1].headers["x-penguinmails-event"] == "order paid"


@pytest.mark.parametrize("name", ["", "x" * 101, None, 7])
async def test_a_type_that_no_event_can_have_is_rejected(
    api: ApiClient, receiver: Receiver, name: object
) -> None:
    status, result, _ = await send_test(api, receiver.url, {"eventType": name})

    assert status == 422
    assert result["errors"][0]["pointer"] == "#/eventType"
    assert receiver.received == []


async def test_a_test_event_has_the_data_of_the_latest_stored_event_that_matches(
    own_api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    created = await own_api.create_webhook(receiver.url, isActive=False)
    stored: list[dict[str, Any]] = [
        {"n": 1, "campaign_id": "camp_1", "contact": {"id": "c_1", "email": "a@b"}},
        {"n": 2, "campaignId": "camp_1", "contactId": "c_2"},
        {"n": 3, "campaign": {"id": "camp_2"}, "contact_id": "c_1"},
        {"n": 4},
    ]
    for data in stored:
        await app.event(tenant, data)
    await app.event(await app.tenant(), {"n": 5, "campaign_id": "camp_1"})
    bodies = [
        {},
        {"campaignId": "camp_1"},
        {"campaignId": "camp_2"},
        {"contactId": "c_1"},
        {"contactId": "c_1", "campaignId": "camp_1"},
        {"contactId": "a@b"},
        {"contactId": "nobody"},
        {"sample": True},
    ]

    result = [
        (await own_api.post(f"/api/webhooks/{created['id']}/test", body)).json["dataFrom"]
        for body in bodies
    ]

    sent = [request.event["data"].get("n") for request in receiver.received]
    assert sent == [4, 2, 3, 3, 1, 1, None, None]
    assert result == ["event"] * 6 + ["sample"] * 2


FAILING = {
    "answers 500": (Reply(500, body=b"oops"), "the receiver answered 500 Internal Server Error"),
    "answers 410": (Reply(410), "the receiver answered 410 Gone"),
    "redirects": (
        Reply(302, headers={"Location": "https://example.com/?t=c4n4ry"}),
        "redirects to https://example.com/?…",
    ),
}


@pytest.mark.parametrize(("reply", "error"), FAILING.values(), ids=FAILING)
async def test_a_test_event_is_a_400_with_the_reason_when_the_receiver(
    own_api: ApiClient, app: Application, receiver: Receiver, reply: Reply, error: str
) -> None:
    receiver.answer = lambda _: reply

    status, answer, created = await send_test(own_api, receiver.url)

    row = await app.health(UUID(created["id"]))
    assert (status, answer["success"], answer["statusCode"]) == (400, False, reply.status)
    assert error in answer["error"]
    assert (row["consecutive_failures"], row["is_failing"], row["is_active"]) == (0, False, True)
    assert (row["last_failure_at"], row["last_success_at"]) == (None, None)
    assert await app.deliveries(UUID(created["id"])) == []


async def test_a_silent_receiver_is_a_400_after_the_timeout(
    app: Application, database: str, tenant: UUID
) -> None:
    async with (
        hostile(silent) as receiver,
        serving_api(database, tenant, delivery={"timeout": "300ms"}) as api,
    ):
        status, result, _ = await send_test(api, receiver.url)

    assert status == 400
    assert result["error"] == "no complete response within 0.3 s"


async def test_a_malformed_response_is_shown_as_text(api: ApiClient) -> None:
    wire = HTTP + b"200 \xff\xfe\x01\r\nX-A: \xff\x01\r\nContent-Length: 3\r\n\r\n\xff\x00\xfe"
    async with hostile(responding_with(wire)) as receiver:
        status, result, _ = await send_test(api, receiver.url)

    assert status in {200, 400}
    assert result["success"] == (status == 200)


async def test_a_large_test_event_is_sent_whole_and_shown_cut(
    own_api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    await app.event(tenant, {str(n): [1.0, "ü"] for n in range(40_000)})

    status, result, created = await send_test(own_api, receiver.url)

    [request] = [each for each in receiver.received if each.event["id"] == result["eventId"]]
    shown = result["request"]
    assert (status, result["dataFrom"]) == (200, "event")
    assert request.headers["x-penguinmails-signature"] == signing.sign(
        request.body, created["secretKey"]
    )
    assert (shown["bodyCut"], shown["bodySize"], shown["curl"]) == (True, len(request.body), None)
    assert request.body.startswith(shown["body"].encode())
    assert 64 * 1024 - 4 < len(shown["body"].encode()) <= 64 * 1024


@pytest.mark.parametrize(
    "url",
    [
        "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:10.0.0.1]/",
        "https://localhost/",
        "https://db/",
        "https://db.local./",
        f"https://{socket.gethostname()}/",
        "https://Hooks.Denied.Example./",
        "https://8.8.8.8/",
        "https://hooks.example.com/#part",
        "https://0x7f.1/",
        "http://93.184.216.34/",
        "https://93.184.216.34:22/",
    ],
)
async def test_a_test_event_obeys_the_egress_rules(
    app: Application, database: str, tenant: UUID, url: str
) -> None:
    # The application can store any URL.
    webhook = await app.webhook(tenant, url)
    egress = {
        "allow_networks": [],
        "allow_ports": ["443"],
        "allow_http": False,
        "deny_networks": ["8.8.8.0/24"],
        "deny_hosts": ["*.denied.example"],
    }
    async with serving_api(database, tenant, egress=egress) as api:
        answer = await api.post(f"/api/webhooks/{webhook}/test")
        refused = await api.patch(f"/api/webhooks/{webhook}", {"endpointUrl": url})

    assert answer.status == 400
    assert refused.status == 422
    assert answer.error == refused.json["errors"][0]["detail"]
    assert (answer.json["request"], answer.json["response"]) == (None, None)


async def test_an_unreachable_egress_proxy_is_a_503(
    app: Application, database: str, tenant: UUID
) -> None:
    webhook = await app.webhook(tenant, "http://127.0.0.1:9/")
    egress = {"proxy": f"http://127.0.0.1:{free_port()}"}
    async with serving_api(database, tenant, egress=egress) as api:
        answer = await api.post(f"/api/webhooks/{webhook}/test")

    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert "the egress proxy cannot be reached" in answer.error


async def test_a_paused_webhook_can_be_tested(api: ApiClient, receiver: Receiver) -> None:
    created = await api.create_webhook(receiver.url, isActive=False)

    answer = await api.post(f"/api/webhooks/{created['id']}/test")

    assert answer.status == 200


async def test_a_stored_event_is_sent_again_as_a_test(
    own_api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    event = await app.event(tenant, {"order": 7}, type="order.paid")
    await until(lambda: inbox_is_empty(app))

    status, result, webhook = await send_test(
        own_api, receiver.url, {"eventId": f"evt_{event.hex}"}
    )

    [request] = receiver.received
    assert (status, result["eventType"], result["dataFrom"]) == (200, "order.paid", "event")
    assert (request.event["type"], request.event["data"]) == ("order.paid", {"order": 7})
    assert request.event["id"].startswith("evt_test_")
    path = f"/api/webhooks/{webhook['id']}/test"
    for body, expected in (
        ({"eventId": str(await app.event(await app.tenant()))}, 404),
        ({"eventId": str(event), "sample": True}, 422),
        ({"eventId": "evt_1"}, 422),
    ):
        assert (await own_api.post(path, body)).status == expected
    assert len(receiver.received) == 1
