"""Webhooks over HTTP: made, looked at, changed, paused, rotated, removed."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest

from daemon.core.wire import signing
from daemon.secrets.vault import Vault
from tests.support.api_client import Caller, serving_api
from tests.support.application import Application
from tests.support.certificates import Authority
from tests.support.daemons import until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver

URL = "http://127.0.0.1:9/hook"
# The specification's own example.
SPECIFIED = {
    "name": "CRM Contact Sync",
    "endpointUrl": "https://127.0.0.1/webhooks/penguinmails",
    "description": "Sync email engagement to CRM",
    "eventTypes": ["email.opened", "email.clicked", "email.bounced"],
    "eventFilters": {"campaign_ids": ["camp_def456"]},
}


@pytest.fixture
async def tenant(app: Application) -> UUID:
    return await app.tenant()


@pytest.fixture
async def api(database: str, tenant: UUID) -> AsyncIterator[Caller]:
    async with serving_api(database, tenant) as caller:
        yield caller


async def test_a_webhook_is_made_as_in_the_specification(api: Caller) -> None:
    made = await api.post("/api/webhooks", SPECIFIED)

    assert made.status == 201
    assert {name: made.json[name] for name in SPECIFIED} == SPECIFIED
    assert UUID(made.json["id"]).version == 4
    assert made.json["secretKey"].startswith("whsec_")
    assert signing.standard_key(made.json["secretKey"]) is not None
    assert (made.json["isActive"], made.json["consecutiveFailures"]) == (True, 0)


async def test_the_secret_is_shown_once_and_signs_what_is_sent(
    api: Caller, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    made = await api.webhook(receiver.url)
    again = await api.get(f"/api/webhooks/{made['id']}")
    listed = await api.get("/api/webhooks")

    await app.event(tenant)
    await until(lambda: settled(app, UUID(made["id"]), "success", 1))

    [request] = receiver.received
    assert made["secretKey"] not in again.text + listed.text
    assert "secretKey" not in again.json
    assert request.headers["x-penguinmails-signature"] == signing.sign(
        request.body, made["secretKey"]
    )


async def test_a_type_that_nothing_will_have_is_taken_with_a_warning(api: Caller) -> None:
    made = await api.webhook(
        URL,
        eventTypes=["email.*", "email.opend", "our.own"],
        eventFilters={"event_types": ["*", "our.other"]},
    )

    again = await api.get(f"/api/webhooks/{made['id']}")
    assert made["warnings"] == [
        "eventTypes: email.opend is none of the 13 event types; did you mean email.opened?",
        "eventTypes: our.own is none of the 13 event types",
        "eventFilters.event_types: our.other is none of the 13 event types",
    ]
    assert again.json["warnings"] == made["warnings"]


async def test_only_what_is_given_changes(api: Caller) -> None:
    made = await api.webhook(
        URL, description="before", eventTypes=["email.*"], eventFilters={"campaign_ids": ["a"]}
    )

    renamed = await api.patch(f"/api/webhooks/{made['id']}", {"name": "another"})
    cleared = await api.patch(
        f"/api/webhooks/{made['id']}",
        {"description": None, "eventTypes": None, "eventFilters": None},
    )

    kept = {"description": "before", "eventTypes": ["email.*"], "endpointUrl": URL}
    assert renamed.json["name"] == "another"
    assert {name: renamed.json[name] for name in kept} == kept
    assert cleared.json["name"] == "another"
    assert [cleared.json[name] for name in ("description", "eventTypes", "eventFilters")] == [
        None,
        None,
        None,
    ]
    assert renamed.json["updatedAt"] > made["updatedAt"]


async def test_headers_are_merged_by_name_and_their_values_never_shown(
    api: Caller, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    made = await api.webhook(
        receiver.url, customHeaders={"Authorization": "Bearer c4n4ry", "X-A": "c4n4ry-a"}
    )
    changed = await api.patch(
        f"/api/webhooks/{made['id']}",
        {"customHeaders": {"x-a": None, "X-B": "c4n4ry-b"}},
    )
    await app.event(tenant)
    await until(lambda: settled(app, UUID(made["id"]), "success", 1))
    removed = await api.patch(f"/api/webhooks/{made['id']}", {"customHeaders": None})

    [request] = receiver.received
    assert made["customHeaders"] == {"Authorization": "[hidden]", "X-A": "[hidden]"}
    assert changed.json["customHeaders"] == {"Authorization": "[hidden]", "X-B": "[hidden]"}
    assert removed.json["customHeaders"] is None
    assert request.headers["authorization"] == "Bearer c4n4ry"
    assert request.headers["x-b"] == "c4n4ry-b"
    assert "x-a" not in request.headers


async def test_a_certificate_is_kept_and_never_shown(api: Caller, app: Application) -> None:
    client = Authority().client("a-webhook")
    made = await api.webhook(
        URL, clientCertificate={"certificate": client.certificate, "key": client.key}
    )

    row = await app.health(UUID(made["id"]))
    removed = await api.patch(f"/api/webhooks/{made['id']}", {"clientCertificate": None})

    assert made["hasClientCertificate"] is True
    assert (row["client_certificate"], row["client_key"]) == (client.certificate, client.key)
    assert removed.json["hasClientCertificate"] is False


async def test_secrets_are_sealed_before_they_reach_the_database(
    app: Application, database: str, tenant: UUID
) -> None:
    key = "k" * 32
    async with serving_api(database, tenant, security={"master_keys": [key]}) as api:
        made = await api.webhook(URL, customHeaders={"X-Key": "c4n4ry"}, isActive=False)
        row = await app.health(UUID(made["id"]))
        changed = await api.patch(f"/api/webhooks/{made['id']}", {"customHeaders": {"X-2": "v"}})

    opened = Vault([key]).open(row["secret_key"], place=f"{made['id']}/secret")
    assert opened == made["secretKey"]
    assert "c4n4ry" not in str(dict(row))
    assert changed.json["customHeaders"] == {"X-Key": "[hidden]", "X-2": "[hidden]"}


@pytest.mark.parametrize("change", [{"name": "another"}, {"customHeaders": {"X-Key": "c4n4ry"}}])
async def test_a_change_leaves_no_secret_plain_that_the_application_wrote(
    app: Application, database: str, tenant: UUID, change: dict[str, Any]
) -> None:
    async with serving_api(database, tenant, security={"master_keys": ["k" * 32]}) as api:
        for _ in range(3):
            webhook = await app.webhook(tenant, URL)
            changed = await api.patch(f"/api/webhooks/{webhook}", change)
            assert changed.status == 200
        await until(lambda: nothing_lies_plain(app))


async def nothing_lies_plain(app: Application) -> bool:
    rows = await app.db.fetch("SELECT secret_key, custom_headers FROM webhooks")
    return all(row["secret_key"].startswith("sealed:") for row in rows) and not any(
        "c4n4ry" in (row["custom_headers"] or "") for row in rows
    )


async def test_a_webhook_whose_secret_cannot_be_opened_can_still_be_changed(
    app: Application, database: str, tenant: UUID
) -> None:
    webhook = await app.webhook(tenant, URL)
    async with serving_api(database, tenant, security={"master_keys": ["k" * 32]}):
        await until(lambda: nothing_lies_plain(app))

    async with serving_api(database, tenant, security={"master_keys": ["o" * 32]}) as api:
        renamed = await api.patch(f"/api/webhooks/{webhook}", {"name": "x", "isActive": False})

    assert (renamed.status, renamed.json["isActive"]) == (200, False)


async def test_a_paused_webhook_gets_nothing_until_it_is_resumed(
    api: Caller, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    made = await api.webhook(receiver.url)
    webhook = UUID(made["id"])
    paused = await api.post(f"/api/webhooks/{webhook}/pause")
    await app.db.execute(
        "UPDATE webhooks SET consecutive_failures = 7, is_failing = true WHERE id = $1", webhook
    )
    await app.event(tenant)
    other = await api.webhook(receiver.url + "/other")
    await app.event(tenant)
    await until(lambda: settled(app, UUID(other["id"]), "success", 1))
    resumed = await api.post(f"/api/webhooks/{webhook}/resume")
    await app.event(tenant)
    await until(lambda: settled(app, webhook, "success", 1))

    assert (paused.json["isActive"], resumed.json["isActive"]) == (False, True)
    assert (resumed.json["consecutiveFailures"], resumed.json["isFailing"]) == (0, False)
    assert len(receiver.at("/")) == 1


async def test_a_change_may_pause_and_resume_as_the_calls_for_it_do(
    api: Caller, app: Application
) -> None:
    made = await api.webhook(URL)
    path = f"/api/webhooks/{made['id']}"
    await app.db.execute("UPDATE webhooks SET consecutive_failures = 7, is_failing = true")

    paused = await api.patch(path, {"isActive": False, "name": "resting"})
    resumed = await api.patch(path, {"isActive": True})
    same = await api.patch(path, {"isActive": True})

    assert [each.json["isActive"] for each in (paused, resumed, same)] == [False, True, True]
    assert (paused.json["name"], paused.json["consecutiveFailures"]) == ("resting", 7)
    assert (resumed.json["consecutiveFailures"], resumed.json["isFailing"]) == (0, False)


@pytest.mark.parametrize(
    "address", ["ops@example.com", "o'neil+x@mail.example", "ops@bücher.example"]
)
async def test_a_mail_address_is_taken_as_it_is(api: Caller, address: str) -> None:
    made = await api.webhook(URL, notificationEmail=address)

    assert made["notificationEmail"] == address


async def test_a_webhook_may_be_made_paused(api: Caller) -> None:
    assert (await api.webhook(URL, isActive=False))["isActive"] is False


async def test_a_rotated_secret_signs_beside_the_old_one(
    api: Caller, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    made = await api.webhook(receiver.url)
    rotated = await api.post(f"/api/webhooks/{made['id']}/rotate-secret", {"overlap": "1h"})
    await app.event(tenant)
    await until(lambda: settled(app, UUID(made["id"]), "success", 1))

    [request] = receiver.received
    shown = await api.get(f"/api/webhooks/{made['id']}")
    assert rotated.status == 200
    assert request.headers["x-penguinmails-signature"] == signing.sign(
        request.body, rotated.json["secretKey"]
    )
    assert request.headers["x-penguinmails-signature-previous"] == signing.sign(
        request.body, made["secretKey"]
    )
    assert shown.json["previousSecretExpiresAt"] == rotated.json["previousSecretExpiresAt"]


async def test_a_second_rotation_does_not_end_the_secret_that_receivers_go_by(
    api: Caller, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    made = await api.webhook(receiver.url)
    path = f"/api/webhooks/{made['id']}/rotate-secret"
    first = await api.post(path, {"overlap": "1h"})
    second = await api.post(path)
    replaced = await api.post(path, {"replace": True})
    await app.event(tenant)
    await until(lambda: settled(app, UUID(made["id"]), "success", 1))
    ended = await api.post(path, {"overlap": "0s"})

    [request] = receiver.received
    assert [each.status for each in (first, second, replaced, ended)] == [200, 409, 200, 200]
    assert "a rotation is under way until" in second.error
    assert request.headers["x-penguinmails-signature"] == signing.sign(
        request.body, replaced.json["secretKey"]
    )
    assert request.headers["x-penguinmails-signature-previous"] == signing.sign(
        request.body, made["secretKey"]
    )
    assert replaced.json["previousSecretExpiresAt"] == first.json["previousSecretExpiresAt"]
    assert ended.json["previousSecretExpiresAt"] is None


async def test_a_removed_webhook_is_gone_with_its_deliveries(
    api: Caller, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    made = await api.webhook(receiver.url)
    webhook = UUID(made["id"])
    await app.events(tenant, 50)
    await until(lambda: settled(app, webhook, "success", 50))

    removed = await api.delete(f"/api/webhooks/{webhook}")
    again = await api.delete(f"/api/webhooks/{webhook}")

    assert (removed.status, removed.text, again.status) == (204, "", 404)
    assert await app.deliveries(webhook) == []


async def test_webhooks_are_listed_by_name_a_page_at_a_time(api: Caller) -> None:
    for name in ("c", "a", "b", "a"):
        await api.webhook(URL, name=name)

    first = await api.get("/api/webhooks", limit=3)
    second = await api.get("/api/webhooks", limit=3, after=first.json["next"])

    assert [each["name"] for each in first.json["webhooks"]] == ["a", "a", "b"]
    assert [each["name"] for each in second.json["webhooks"]] == ["c"]
    assert second.json["next"] is None
    assert (
        await api.get("/api/webhooks", after=uuid4())
    ).error == "after: there is no such webhook"


async def test_hostile_names_come_back_as_they_were_given(api: Caller) -> None:
    name = "<script>alert(1)</script> \u202e 😀 ' ; DROP TABLE webhooks; --"

    made = await api.webhook(URL, name=name)

    assert (await api.get(f"/api/webhooks/{made['id']}")).json["name"] == name


async def test_a_filter_written_over_http_is_the_one_that_filters(
    api: Caller, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    filters = {"filters": {"contact.id": ["c1", 5, None], "ratio": 1e2}}
    made = await api.webhook(receiver.url, eventFilters=filters)
    wanted = await app.event(tenant, {"contact": {"id": 5}, "ratio": 100})
    await app.event(tenant, {"contact": {"id": 6}, "ratio": 100})
    await until(lambda: settled(app, UUID(made["id"]), "success", 1))

    [row] = await app.deliveries(UUID(made["id"]))
    assert row["event_id"] == wanted
    assert made["eventFilters"] == orjson.loads(orjson.dumps(filters))
