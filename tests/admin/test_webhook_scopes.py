"""Operators' webhooks are made and seen by operators only; a tenant's token finds none of them."""

from typing import Any
from uuid import UUID, uuid4

from tests.support.api_client import ApiClient, serving_api
from tests.support.application import Application
from tests.support.audit import tenant_client
from tests.support.daemons import until
from tests.support.deliveries import inbox_is_empty, insert_delivery, settled
from tests.support.operational import scoped_webhook
from tests.support.receiver import Receiver

START = "2020-01-01T00:00:00Z"


async def test_a_scope_is_set_shown_and_changed(app: Application, database: str) -> None:
    tenant = await app.tenant()
    async with serving_api(database, tenant) as operator:
        customer = await tenant_client(operator, tenant)
        default = await customer.create_webhook("https://example.com/a")
        account = await customer.create_webhook("https://example.com/b", scope="account")
        pager = await operator.create_webhook("https://example.com/c", scope="operator")
        unknown = await customer.post(
            "/api/webhooks", {"name": "x", "endpointUrl": "https://example.com", "scope": "all"}
        )
        path = f"/api/webhooks/{default['id']}"
        changed = await customer.patch(path, {"scope": "account"})
        kept = await customer.patch(path, {"name": "y"})
        stored = await customer.get(path)

    assert [each["scope"] for each in (default, account, pager)] == [
        "events",
        "account",
        "operator",
    ]
    assert (unknown.status, unknown.pointers) == (422, ["#/scope"])
    assert [each.json["scope"] for each in (changed, kept, stored)] == ["account"] * 3


async def test_a_tenant_may_not_make_a_webhook_for_operators(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    async with serving_api(database, tenant) as operator:
        customer = await tenant_client(operator, tenant)
        own = await customer.create_webhook("https://example.com/a")
        body = {"name": "x", "endpointUrl": "https://example.com", "scope": "operator"}
        created = await customer.post("/api/webhooks", body)
        changed = await customer.patch(f"/api/webhooks/{own['id']}", {"scope": "operator"})

    assert (created.status, changed.status) == (403, 403)
    assert await app.db.fetchval("SELECT array_agg(scope::text) FROM webhooks") == ["events"]


async def calls_about(
    client: ApiClient, webhook: Any, delivery: Any, replay: Any, event: Any
) -> list[Any]:
    """The answers to all calls that name a webhook, a delivery or a replay of it."""
    of_webhook = f"/api/webhooks/{webhook}"
    answers = [
        await client.get(of_webhook),
        await client.patch(of_webhook, {"name": "z"}),
        await client.patch(of_webhook, {"name": 1}),
        *[await client.post(f"{of_webhook}{action}") for action in ("/pause", "/resume")],
        *[await client.post(f"{of_webhook}{each}") for each in ("/rotate-secret", "/probe")],
        await client.post(f"{of_webhook}/test"),
        await client.post(f"{of_webhook}/retry-failed", {"from": START}),
        await client.get(f"{of_webhook}/deliveries"),
        await client.get(f"{of_webhook}/replays"),
        await client.get(f"{of_webhook}/stats"),
        await client.get(f"{of_webhook}/explain", eventId=event),
        await client.get(f"{of_webhook}/undelivered"),
        await client.get("/api/webhooks", after=webhook),
        await client.get(f"/api/deliveries/{delivery}"),
        await client.post(f"/api/deliveries/{delivery}/retry"),
        await client.post("/api/replays", {"webhookId": str(webhook), "from": START}),
        await client.get(f"/api/replays/{replay}"),
        await client.post(f"/api/replays/{replay}/cancel"),
        await client.post(f"/api/replays/{replay}/retry-failed"),
        await client.get("/api/deliveries", before=delivery),
        await client.delete(of_webhook),
    ]
    return [(each.status, each.error if each.status >= 400 else None) for each in answers]


async def test_a_tenants_token_gets_the_same_answers_as_about_what_does_not_exist(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    async with serving_api(database, tenant) as operator:
        customer = await tenant_client(operator, tenant)
        pager = await operator.create_webhook(receiver.url, scope="operator")
        delivery = await insert_delivery(app, UUID(pager["id"]), event_id=(event := uuid4()))
        replay = await app.db.fetchval(
            "INSERT INTO webhook_replays (tenant_id, webhook_id, source, from_time, to_time, total,"
            " cursor_time, cursor_id)"
            " VALUES ($1, $2, 'exhausted', now(), now(), 0, now(), gen_random_uuid()) RETURNING id",
            tenant,
            UUID(pager["id"]),
        )
        hidden = await calls_about(customer, pager["id"], delivery, replay, event)
        absent = await calls_about(customer, uuid4(), uuid4(), uuid4(), event)
        listed = (await customer.get("/api/webhooks")).json["webhooks"]
        seen = await calls_about(operator, pager["id"], delivery, replay, event)

    assert hidden == absent
    assert {status for status, _ in absent} == {404, 422}
    assert listed == []
    assert {status for status, _ in seen} <= {200, 202, 204, 409, 422}
    assert sum(status < 300 for status, _ in seen) >= 14
    assert receiver.received != []  # the operator's test event


async def all_deliveries(client: ApiClient) -> list[dict[str, Any]]:
    """Those of all webhooks and pages: a page ends after a tenth of a second, full or not."""
    page = (await client.get("/api/deliveries")).json
    found = list(page["deliveries"])
    while page["next"] is not None:
        page = (await client.get("/api/deliveries", before=page["next"])).json
        found += page["deliveries"]
    return found


async def test_lists_across_webhooks_leave_out_what_is_the_operators(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    own = await app.webhook(tenant, receiver.url)
    taken = await app.webhook(tenant, receiver.url)
    async with serving_api(database, tenant) as operator:
        customer = await tenant_client(operator, tenant)
        await app.event(tenant)
        for webhook in (own, taken):
            await until(lambda webhook=webhook: settled(app, webhook, "success", 1))
        await operator.patch(f"/api/webhooks/{taken}", {"scope": "operator"})

        async def listed(client: ApiClient) -> tuple[set[str], set[str]]:
            deliveries = await all_deliveries(client)
            found = (await client.get("/api/webhooks", include="stats")).json["webhooks"]
            assert all(each["stats"] is not None for each in found)
            return {each["webhookId"] for each in deliveries}, {each["id"] for each in found}

        of_customer, of_operator = await listed(customer), await listed(operator)
        facets = await customer.get("/api/events/facets")

    assert of_customer == ({str(own)}, {str(own)})
    assert of_operator == ({str(own), str(taken)}, {str(own), str(taken)})
    assert [each["count"] for each in facets.json["types"]] == [1]


async def test_a_tenant_sees_no_record_of_what_operators_did_with_their_webhooks(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    async with serving_api(database, tenant) as operator:
        customer = await tenant_client(operator, tenant)
        await operator.create_webhook("https://example.com/own")
        pager = await operator.create_webhook("https://example.com/c", scope="operator")
        path = f"/api/webhooks/{pager['id']}"
        await operator.patch(path, {"name": "y"})
        delivery = await insert_delivery(app, UUID(pager["id"]))
        await operator.post(f"/api/deliveries/{delivery}/retry")
        await operator.delete(path)

        async def records(client: ApiClient) -> list[tuple[str, str | None]]:
            found = (await client.get("/api/audit")).json["records"]
            return [(each["action"], each["objectId"]) for each in found]

        of_customer, of_operator = await records(customer), await records(operator)
        about = await operator.get("/api/audit", objectId=pager["id"], action="updateWebhook")
        [update] = about.json["records"]
        before = await customer.get("/api/audit", before=update["id"])

    actions = [action for action, _ in of_customer]
    assert actions == ["createWebhook", "createTenantToken"]
    assert pager["id"] not in {object_id for _, object_id in of_customer}
    assert ("deleteWebhook", pager["id"]) in of_operator
    assert ("retryDelivery", str(delivery)) in of_operator
    assert before.status == 404


async def test_a_webhook_that_becomes_an_operators_takes_its_deliveries_along(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving_api(database, tenant) as operator:
        customer = await tenant_client(operator, tenant)
        event = await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))
        await operator.patch(f"/api/webhooks/{webhook}", {"scope": "operator"})
        seen = [await each.get(f"/api/events/{event}") for each in (customer, operator)]
        await app.event(tenant)
        await until(lambda: inbox_is_empty(app))

    assert [len(each.json["deliveries"]) for each in seen] == [0, 1]
    assert len(receiver.received) == 1


async def test_an_operators_webhook_takes_no_place_of_its_tenants(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    limits = {"webhooks_per_tenant": 1}
    async with serving_api(database, tenant, limits=limits) as operator:
        for _ in range(2):
            await operator.create_webhook("https://example.com/c", scope="operator")
        await operator.create_webhook("https://example.com/a")
        refused = await operator.post(
            "/api/webhooks", {"name": "x", "endpointUrl": "https://example.com"}
        )

    assert (refused.status, refused.json["count"]) == (409, 1)


async def test_a_scope_that_there_is_not_is_a_warning_and_types_are_judged_by_the_scope(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    odd = await scoped_webhook(app, tenant, "https://example.com", "Ops\n")
    account = await scoped_webhook(
        *(app, tenant, "https://example.com", "account"),
        types=["email.*", "webhook.*", "webhook.pausd"],
    )
    async with serving_api(database, tenant) as operator:
        shown = [(await operator.get(f"/api/webhooks/{each}")).json for each in (odd, account)]

    assert [each["scope"] for each in shown] == ["Ops\\n", "account"]
    assert shown[0]["warnings"] == [
        "scope: Ops\\n is none of events, account, operator: no event matches"
    ]
    unknown = "is none of the 6 operational event types"
    assert shown[1]["warnings"] == [
        f"eventTypes: email.* {unknown}",
        f"eventTypes: webhook.pausd {unknown}; did you mean webhook.paused?",
    ]


async def test_a_test_event_can_be_an_operational_one(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    async with serving_api(database, tenant) as operator:
        account = await operator.create_webhook(receiver.url, scope="account")
        sent = await operator.post(
            f"/api/webhooks/{account['id']}/test", {"eventType": "delivery.exhausted"}
        )
        default = await operator.post(f"/api/webhooks/{account['id']}/test")
        foreign = await operator.post(
            f"/api/webhooks/{account['id']}/test", {"eventType": "webhook.pausd"}
        )

    assert (sent.status, sent.json["dataFrom"], sent.json["note"]) == (200, "sample", None)
    assert (default.json["eventType"], default.json["note"]) == ("webhook.failing", None)
    sentence = "The type is none of the 6 operational event types"
    assert foreign.json["note"].endswith(f"{sentence}; did you mean webhook.paused?")
    request, *_ = receiver.received
    assert request.event["id"].startswith("evt_test_")
    assert request.event["type"] == "delivery.exhausted"
    assert {"event_id", "event_type", "delivery_id"} <= request.event["data"].keys()


async def test_a_webhook_of_another_scope_wants_no_event_of_the_application(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    account = await scoped_webhook(app, tenant, "https://example.com/a", "account")
    event = await app.event(tenant)
    async with serving_api(database, tenant) as operator:
        path = f"/api/webhooks/{account}"
        explained = (await operator.get(f"{path}/explain", eventId=event)).json
        undelivered = (await operator.get(f"{path}/undelivered")).json

    assert explained["outcome"] == "not_subscribed"
    assert explained["reason"].startswith("The webhook's scope is account: ")
    assert undelivered["events"] == []


async def test_a_deleted_webhook_of_operators_is_not_explained_to_its_tenant(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    event = await app.event(tenant)
    async with serving_api(database, tenant) as operator:
        await until(lambda: inbox_is_empty(app))
        customer = await tenant_client(operator, tenant)
        own = await customer.create_webhook("https://example.com/a")
        pager = await operator.create_webhook("https://example.com/c", scope="operator")
        for webhook in (own, pager):
            await operator.patch(f"/api/webhooks/{webhook['id']}", {"eventTypes": ["x.y"]})
            await operator.delete(f"/api/webhooks/{webhook['id']}")
        answers = [
            await customer.get(f"/api/webhooks/{each['id']}/explain", eventId=event)
            for each in (own, pager)
        ]

    assert [each.status for each in answers] == [200, 404]
