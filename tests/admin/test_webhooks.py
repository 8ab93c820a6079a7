"""Webhooks over the API: create, list, retrieve, update, pause, delete."""

from uuid import UUID, uuid4

import orjson
import pytest

from daemon.core.wire import signing
from tests.support.api_client import ApiClient, serving_api
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.deliveries import inbox_is_empty, settled
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


async def test_a_webhook_is_created_as_in_the_specification(api: ApiClient) -> None:
    created = await api.post("/api/webhooks", SPECIFIED)

    assert created.status == 201
    assert {name: created.json[name] for name in SPECIFIED} == SPECIFIED
    assert UUID(created.json["id"]).version == 4
    assert created.json["secretKey"].startswith("whsec_")
    assert signing.standard_key(created.json["secretKey"]) is not None
    assert (created.json["isActive"], created.json["consecutiveFailures"]) == (True, 0)


async def test_an_unknown_event_type_is_accepted_with_a_warning(api: ApiClient) -> None:
    created = await api.create_webhook(
        URL,
        eventTypes=["email.*", "email.opend", "our.own"],
        eventFilters={"event_types": ["*", "our.other"]},
    )

    again = await api.get(f"/api/webhooks/{created['id']}")
    assert created["warnings"] == [
        "eventTypes: email.opend is none of the 13 event types; did you mean email.opened?",
        "eventTypes: our.own is none of the 13 event types",
        "eventFilters.event_types: our.other is none of the 13 event types",
    ]
    assert again.json["warnings"] == created["warnings"]


async def test_an_update_changes_only_the_given_members(api: ApiClient) -> None:
    created = await api.create_webhook(
        URL, description="before", eventTypes=["email.*"], eventFilters={"campaign_ids": ["a"]}
    )

    renamed = await api.patch(f"/api/webhooks/{created['id']}", {"name": "another"})
    cleared = await api.patch(
        f"/api/webhooks/{created['id']}",
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
    assert renamed.json["updatedAt"] > created["updatedAt"]


async def test_a_paused_webhook_receives_nothing_until_it_is_resumed(
    own_api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    created = await own_api.create_webhook(receiver.url)
    webhook = UUID(created["id"])
    paused = await own_api.post(f"/api/webhooks/{webhook}/pause")
    await app.db.execute(
        "UPDATE webhooks SET consecutive_failures = 7, is_failing = true WHERE id = $1", webhook
    )
    await app.events(tenant, 2)
    await until(lambda: inbox_is_empty(app))
    resumed = await own_api.post(f"/api/webhooks/{webhook}/resume")
    await app.event(tenant)
    await until(lambda: settled(app, webhook, "success", 1))

    assert (paused.json["isActive"], resumed.json["isActive"]) == (False, True)
    assert (resumed.json["consecutiveFailures"], resumed.json["isFailing"]) == (0, False)
    assert len(receiver.at("/")) == 1


async def test_an_update_can_pause_and_resume_a_webhook(
    own_api: ApiClient, app: Application
) -> None:
    created = await own_api.create_webhook(URL)
    path = f"/api/webhooks/{created['id']}"
    await app.db.execute("UPDATE webhooks SET consecutive_failures = 7, is_failing = true")

    paused = await own_api.patch(path, {"isActive": False, "name": "paused"})
    resumed = await own_api.patch(path, {"isActive": True})
    same = await own_api.patch(path, {"isActive": True})

    assert [each.json["isActive"] for each in (paused, resumed, same)] == [False, True, True]
    assert (paused.json["name"], paused.json["consecutiveFailures"]) == ("paused", 7)
    assert (resumed.json["consecutiveFailures"], resumed.json["isFailing"]) == (0, False)


@pytest.mark.parametrize(
    "address", ["ops@example.com", "o'neil+x@mail.example", "ops@bücher.example"]
)
async def test_a_mail_address_is_stored_unchanged(
    database: str, tenant: UUID, address: str
) -> None:
    allowed = {"allowed_recipients": ["@example.com", "@mail.example", "@bücher.example"]}
    async with serving_api(database, tenant, notifications=allowed) as api:
        created = await api.create_webhook(URL, notificationEmail=address)

    assert created["notificationEmail"] == address


async def test_a_webhook_can_be_created_paused(api: ApiClient) -> None:
    assert (await api.create_webhook(URL, isActive=False))["isActive"] is False


async def test_a_deleted_webhook_loses_its_deliveries(
    own_api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    created = await own_api.create_webhook(receiver.url)
    webhook = UUID(created["id"])
    await app.events(tenant, 50)
    await until(lambda: settled(app, webhook, "success", 50))

    removed = await own_api.delete(f"/api/webhooks/{webhook}")
    again = await own_api.delete(f"/api/webhooks/{webhook}")

    assert (removed.status, removed.text, again.status) == (204, "", 404)
    assert await app.deliveries(webhook) == []


async def test_webhooks_are_listed_by_name_in_pages(api: ApiClient) -> None:
    for name in ("c", "a", "b", "a"):
        await api.create_webhook(URL, name=name)

    first = await api.get("/api/webhooks", limit=3)
    second = await api.get("/api/webhooks", limit=3, after=first.json["next"])

    assert [each["name"] for each in first.json["webhooks"]] == ["a", "a", "b"]
    assert [each["name"] for each in second.json["webhooks"]] == ["c"]
    assert second.json["next"] is None
    assert (
        await api.get("/api/webhooks", after=uuid4())
    ).error == "after: this tenant has no webhook with this id"


async def test_a_name_with_hostile_characters_is_returned_unchanged(api: ApiClient) -> None:
    name = "<script>alert(1)</script> 😀 ' ; DROP TABLE webhooks; --"

    created = await api.create_webhook(URL, name=name)

    assert (await api.get(f"/api/webhooks/{created['id']}")).json["name"] == name


async def test_a_filter_set_over_the_api_selects_events(
    own_api: ApiClient, app: Application, tenant: UUID, receiver: Receiver
) -> None:
    filters = {"filters": {"contact.id": ["c1", 5, None], "ratio": 1e2}}
    created = await own_api.create_webhook(receiver.url, eventFilters=filters)
    wanted = await app.event(tenant, {"contact": {"id": 5}, "ratio": 100})
    await app.event(tenant, {"contact": {"id": 6}, "ratio": 100})
    await until(lambda: settled(app, UUID(created["id"]), "success", 1))

    [row] = await app.deliveries(UUID(created["id"]))
    assert row["event_id"] == wanted
    assert created["eventFilters"] == orjson.loads(orjson.dumps(filters))
