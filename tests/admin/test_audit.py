"""The audit: a record of every change, without secrets, and its list."""

import asyncio
from typing import Any
from uuid import uuid4

from structlog.testing import capture_logs

from tests.admin.test_access import OPERATIONS
from tests.support.api_client import OPERATOR, serving_api
from tests.support.application import Application
from tests.support.audit import START, TOKENS, URL, Calls, records, tenant_client
from tests.support.daemons import until
from tests.support.receiver import Receiver, Reply

CHANGING = [each for each in OPERATIONS if not each.may_only_read]


async def test_every_operation_that_changes_something_leaves_one_record(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    found, expected = {}, {}
    async with serving_api(database, tenant, admin=TOKENS) as operator:
        calls = Calls(app, operator, tenant, receiver.url)
        for operation in CHANGING:
            await app.db.execute("DELETE FROM webhook_audit")
            answer, object_id = await calls.call(operation.operation_id)
            assert answer.status < 300, (operation.operation_id, answer)
            found[operation.operation_id] = [
                (
                    *(each["action"], each["actor_kind"], each["actor"], each["peer"]),
                    *(each["tenant_id"], each["object_type"], str(each["object_id"])),
                    *(each["status"], each["count"]),
                )
                for each in await records(app)
            ]
            expected[operation.operation_id] = [
                (
                    *(operation.operation_id, "operator", "ops", "127.0.0.1"),
                    *(tenant, operation.id_of, object_id, answer.status, 1),
                )
            ]

    assert found == expected


async def test_reads_and_dry_runs_leave_no_record(app: Application, database: str) -> None:
    tenant = await app.tenant()
    async with serving_api(database, tenant, admin=TOKENS) as operator:
        webhook = await app.webhook(tenant, URL)
        await operator.get("/api/webhooks")
        await operator.get(f"/api/webhooks/{uuid4()}")
        await operator.get("/api/audit")
        body = {"webhookId": str(webhook), "from": START, "dryRun": True}
        counted = await operator.post("/api/replays", body)

    assert counted.status == 200
    assert await records(app) == []


async def test_a_test_event_is_recorded_although_the_receiver_refused_it(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(500)
    tenant = await app.tenant()
    async with serving_api(database, tenant, admin=TOKENS) as operator:
        webhook = await app.webhook(tenant, receiver.url)
        sent = await operator.post(f"/api/webhooks/{webhook}/test")
        [record] = await records(app)
        [listed] = (await operator.get("/api/audit")).json["records"]

    assert (sent.status, record["action"], record["status"]) == (400, "sendTestEvent", 400)
    assert (listed["outcome"], listed["objectId"]) == ("failed", str(webhook))


async def test_a_change_that_fails_leaves_no_record_of_success(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    async with serving_api(database, tenant, admin=TOKENS) as operator:
        invalid = await operator.post("/api/webhooks", {"name": "x", "endpointUrl": "ftp://x"})
        unknown = await operator.delete(f"/api/webhooks/{uuid4()}")

    assert (invalid.status, unknown.status) == (422, 404)
    assert await records(app) == []


async def test_a_change_is_not_made_without_its_record(app: Application, database: str) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, URL)
    await app.db.execute("ALTER TABLE webhook_audit RENAME TO gone")
    async with serving_api(database, tenant, admin=TOKENS) as operator:
        answer = await operator.post(f"/api/webhooks/{webhook}/pause")

    assert answer.status == 500
    assert (await app.health(webhook))["is_active"]


async def test_a_record_that_cannot_be_stored_is_in_the_log(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    with capture_logs() as lines:
        async with serving_api(database, tenant, admin=TOKENS) as operator:
            await app.db.execute("ALTER TABLE webhook_audit RENAME TO gone")
            answer = await operator.post(f"/api/webhooks/{webhook}/test")

    [line] = [each for each in lines if each["event"] == "audit.not_stored"]
    assert answer.status == 200
    assert (line["action"], line["object_id"], line["actor"]) == ("sendTestEvent", webhook, "ops")


async def test_a_tenant_s_token_is_recorded_by_its_id(app: Application, database: str) -> None:
    tenant = await app.tenant()
    async with serving_api(database, tenant, admin=TOKENS) as operator:
        client = await tenant_client(operator, tenant)
        await client.create_webhook(URL)
        [minted, made] = await records(app)

    assert (minted["actor_kind"], minted["actor"]) == ("operator", "ops")
    assert (made["actor_kind"], made["actor"]) == ("tenant", str(minted["object_id"]))
    assert made["tenant_id"] == tenant


async def test_a_record_has_no_secret_token_or_body(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    canary = "c4n4ry"
    async with serving_api(database, tenant, admin=TOKENS) as operator:
        minted = await operator.post("/api/tenant-tokens", {"tenantId": str(tenant)})
        created = await operator.create_webhook(
            f"{receiver.url}?{canary}", name=canary, customHeaders={"Authorization": canary}
        )
        rotated = await operator.post(f"/api/webhooks/{created['id']}/rotate-secret")
        await operator.with_token(f"{canary}-{canary}").get("/api/webhooks")
        listed = await operator.get("/api/audit")

    shown = f"{await records(app)} {listed.text}"
    for secret in (canary, OPERATOR, minted.json["token"], rotated.json["secretKey"]):
        assert secret not in shown


async def test_the_list_shows_a_tenant_its_own_records_and_an_operator_all(
    app: Application, database: str
) -> None:
    one, other = await app.tenant(), await app.tenant()
    async with serving_api(database, one, admin=TOKENS) as operator:
        mine = await operator.create_webhook(URL)
        theirs = await operator.as_tenant(other).create_webhook(URL)
        client = await tenant_client(operator, one)
        await client.post(f"/api/webhooks/{mine['id']}/pause")
        of_all = (await operator.with_headers(X_Tenant_ID=None).get("/api/audit")).json["records"]
        of_one = (await operator.get("/api/audit")).json["records"]
        own = (await client.get("/api/audit")).json["records"]
        [their_record] = [each["id"] for each in of_all if each["objectId"] == theirs["id"]]
        across = await client.get("/api/audit", before=their_record)

    assert across.status == 404
    actions = ["pauseWebhook", "createTenantToken", "createWebhook"]
    assert [each["action"] for each in of_all] == [*actions, "createWebhook"]
    assert {each["objectId"] for each in of_all} > {theirs["id"], mine["id"]}
    assert [each["action"] for each in of_one] == [each["action"] for each in own] == actions
    assert [each["peer"] for each in of_one] == ["127.0.0.1"] * 3
    # A tenant sees its own addresses, and not those of operators.
    assert [each["peer"] for each in own] == ["127.0.0.1", None, None]
    assert [each["actor"] for each in own] == [own[1]["objectId"], "ops", "ops"]


async def test_the_list_is_filtered_and_paged(app: Application, database: str) -> None:
    tenant = await app.tenant()
    async with serving_api(database, tenant, admin=TOKENS) as operator:
        webhook = (await operator.create_webhook(URL))["id"]
        for n in range(5):
            await operator.patch(f"/api/webhooks/{webhook}", {"name": str(n)})
        await operator.create_webhook(URL)
        everything = (await operator.get("/api/audit")).json["records"]
        of_object = (await operator.get("/api/audit", objectId=webhook)).json["records"]
        updates = (await operator.get("/api/audit", action="updateWebhook")).json["records"]
        since, until_ = everything[4]["at"], everything[2]["at"]
        between = await operator.get("/api/audit", **{"from": since, "to": until_})
        paged: list[Any] = []
        query: dict[str, object] = {"limit": 2, "action": "updateWebhook"}
        while True:
            page = (await operator.get("/api/audit", **query)).json
            paged += page["records"]
            if page["next"] is None:
                break
            query["before"] = page["next"]
        by_id = await operator.get("/api/audit", before=everything[0]["id"])
        unknown = await operator.get("/api/audit", before=str(uuid4()))

    assert [each["at"] for each in everything] == sorted(
        (each["at"] for each in everything), reverse=True
    )
    assert of_object == everything[1:]
    assert updates == paged == everything[1:6]
    assert between.json["records"] == everything[3:5]
    assert by_id.json["records"] == everything[1:]
    assert unknown.status == 404


async def test_a_client_that_disconnects_during_a_test_event_is_recorded(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(after=60)
    tenant = await app.tenant()
    async with serving_api(database, tenant, admin=TOKENS, delivery={"timeout": "30s"}) as operator:
        webhook = await app.webhook(tenant, receiver.url)
        calling = asyncio.create_task(operator.post(f"/api/webhooks/{webhook}/test"))
        await until(lambda: receiver.received)
        calling.cancel()
        await until(lambda: app.db.fetchval("SELECT count(*) = 1 FROM webhook_audit"))

    [record] = await records(app)
    assert (record["action"], record["status"]) == ("sendTestEvent", 499)


async def test_each_record_is_one_line_of_the_log(app: Application, database: str) -> None:
    tenant = await app.tenant()
    with capture_logs() as lines:
        async with serving_api(database, tenant, admin=TOKENS) as operator:
            created = await operator.create_webhook(URL)

    [line] = [each for each in lines if each["event"] == "audit.recorded"]
    assert (line["action"], line["actor"], line["actor_kind"]) == (
        "createWebhook",
        "ops",
        "operator",
    )
    assert (line["object_type"], str(line["object_id"])) == ("webhook", created["id"])
    assert (line["peer"], line["tenant_id"], line["status"]) == ("127.0.0.1", tenant, 201)


async def test_behind_a_trusted_proxy_the_client_is_recorded(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    forwarded = {"X_Forwarded_For": "198.51.100.9, 203.0.113.7"}
    trusting = TOKENS | {"trusted_proxies": ["127.0.0.0/8"]}
    async with serving_api(database, tenant, admin=trusting) as operator:
        await operator.with_headers(**forwarded).create_webhook(URL)
    async with serving_api(database, tenant, admin=TOKENS) as operator:
        await operator.with_headers(**forwarded).create_webhook(URL)

    assert [each["peer"] for each in await records(app)] == ["203.0.113.7", "127.0.0.1"]
