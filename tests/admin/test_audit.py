"""The audit: a record of every change and refused request, without secrets, and its list."""

import asyncio
import itertools
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from structlog.testing import capture_logs

from daemon.admin.api import refused_requests
from daemon.admin.api.audit import AuditLog
from daemon.core.model.audit import NOBODY, AuditRecord
from daemon.store.database import Database
from tests.admin.test_access import OPERATIONS
from tests.support.api_client import OPERATOR, Answer, ApiClient, serving_api
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.deliveries import insert_delivery
from tests.support.receiver import Receiver, Reply

READER = "reader-" * 4
TOKENS = {
    "tokens": [
        {"name": "ops", "token": OPERATOR},
        {"name": "reports", "token": READER, "scope": "read"},
    ]
}
URL = "http://127.0.0.1:9/hook"
START = "2020-01-01T00:00:00Z"


async def records(app: Application) -> list[asyncpg.Record]:
    found: list[asyncpg.Record] = await app.db.fetch("SELECT * FROM webhook_audit ORDER BY at")
    return found


async def tenant_client(operator: ApiClient, tenant: UUID, **more: object) -> ApiClient:
    answer = await operator.post("/api/tenant-tokens", {"tenantId": str(tenant), **more})
    return operator.with_token(answer.json["token"])


class Calls:
    """One successful call of each operation that changes something, by the operation's id."""

    def __init__(self, app: Application, operator: ApiClient, tenant: UUID, receiver: str) -> None:
        self._app = app
        self._operator = operator
        self._tenant = tenant
        self._receiver = receiver

    async def call(self, operation_id: str) -> tuple[Answer, str | None]:
        """Make the call; return the answer, and the id of the object that it concerns."""
        answer, object_id = await getattr(self, operation_id)()
        return answer, object_id or answer.json["id"]

    async def _webhook(self) -> str:
        return str(await self._app.webhook(self._tenant, self._receiver))

    async def _of_webhook(self, action: str, body: Any = None) -> tuple[Answer, str]:
        webhook = await self._webhook()
        return await self._operator.post(f"/api/webhooks/{webhook}{action}", body), webhook

    async def createWebhook(self) -> tuple[Answer, None]:  # noqa: N802
        body = {"name": "x", "endpointUrl": self._receiver}
        return await self._operator.post("/api/webhooks", body), None

    async def updateWebhook(self) -> tuple[Answer, str]:  # noqa: N802
        webhook = await self._webhook()
        return await self._operator.patch(f"/api/webhooks/{webhook}", {"name": "y"}), webhook

    async def deleteWebhook(self) -> tuple[Answer, str]:  # noqa: N802
        webhook = await self._webhook()
        return await self._operator.delete(f"/api/webhooks/{webhook}"), webhook

    async def pauseWebhook(self) -> tuple[Answer, str]:  # noqa: N802
        return await self._of_webhook("/pause")

    async def resumeWebhook(self) -> tuple[Answer, str]:  # noqa: N802
        return await self._of_webhook("/resume")

    async def rotateWebhookSecret(self) -> tuple[Answer, str]:  # noqa: N802
        return await self._of_webhook("/rotate-secret")

    async def probeWebhook(self) -> tuple[Answer, str]:  # noqa: N802
        webhook = await self._webhook()
        await insert_delivery(self._app, UUID(webhook))
        return await self._operator.post(f"/api/webhooks/{webhook}/probe"), webhook

    async def sendTestEvent(self) -> tuple[Answer, str]:  # noqa: N802
        return await self._of_webhook("/test")

    async def retryDelivery(self) -> tuple[Answer, str]:  # noqa: N802
        webhook = UUID(await self._webhook())
        failed = await insert_delivery(self._app, webhook, status="failed", next_retry_at=None)
        return await self._operator.post(f"/api/deliveries/{failed}/retry"), str(failed)

    async def retryFailedDeliveries(self) -> tuple[Answer, str]:  # noqa: N802
        webhook = await self._webhook()
        await insert_delivery(self._app, UUID(webhook), status="failed", next_retry_at=None)
        path = f"/api/webhooks/{webhook}/retry-failed"
        return await self._operator.post(path, {"from": START}), webhook

    async def createReplay(self) -> tuple[Answer, None]:  # noqa: N802
        body = {"webhookId": await self._webhook(), "from": START}
        return await self._operator.post("/api/replays", body), None

    async def cancelReplay(self) -> tuple[Answer, str]:  # noqa: N802
        (answer, _) = await self.createReplay()
        replay = answer.json["id"]
        await self._app.db.execute("DELETE FROM webhook_audit")
        return await self._operator.post(f"/api/replays/{replay}/cancel"), replay

    async def createTenantToken(self) -> tuple[Answer, None]:  # noqa: N802
        body = {"tenantId": str(self._tenant)}
        return await self._operator.post("/api/tenant-tokens", body), None

    async def revokeTenantToken(self) -> tuple[Answer, str]:  # noqa: N802
        (answer, _) = await self.createTenantToken()
        token = answer.json["id"]
        await self._app.db.execute("DELETE FROM webhook_audit")
        return await self._operator.delete(f"/api/tenant-tokens/{token}"), token


CHANGING = [each for each in OPERATIONS if each.method != "GET"]


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


async def test_refused_requests_are_recorded_with_who_was_refused(
    app: Application, database: str
) -> None:
    tenant, other = await app.tenant(), await app.tenant()
    async with serving_api(database, tenant, admin=TOKENS) as operator:
        client = await tenant_client(operator, tenant)
        reader = operator.with_headers(Authorization=f"Bearer {READER}")
        webhook = uuid4()
        await operator.with_token("wrong-" * 4).get("/api/webhooks")
        await operator.with_headers(Authorization=None).get("/api/webhooks")
        await client.as_tenant(other).get("/api/events")
        await client.post("/api/tenant-tokens", {"tenantId": str(other)})
        await reader.delete(f"/api/webhooks/{webhook}")
        await until(lambda: app.db.fetchval("SELECT count(*) = 5 FROM webhook_audit"))
        [minted, *refused] = await records(app)

    found = {
        (*(each["action"], each["actor_kind"], each["actor"], each["tenant_id"]), each["status"])
        for each in refused
    }
    assert found == {
        ("listWebhooks", "unknown", "", None, 401),
        ("listEvents", "tenant", str(minted["object_id"]), tenant, 403),
        ("createTenantToken", "tenant", str(minted["object_id"]), tenant, 403),
        ("deleteWebhook", "operator", "reports", tenant, 403),
    }


async def test_a_request_beyond_a_limit_is_recorded_as_refused(
    app: Application, database: str, receiver: Receiver
) -> None:
    receiver.answer = lambda _: Reply(after=3)
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    async with serving_api(database, tenant, admin=TOKENS, delivery={"timeout": "30s"}) as operator:
        path = f"/api/webhooks/{webhook}/test"
        answers = await asyncio.gather(*(operator.post(path) for _ in range(5)))
        await until(lambda: app.db.fetchval("SELECT count(*) = 5 FROM webhook_audit"))
        listed = (await operator.get("/api/audit")).json["records"]

    assert sorted(each.status for each in answers) == [200, 200, 200, 200, 429]
    assert sorted(each["outcome"] for each in listed) == ["done"] * 4 + ["refused"]


async def test_a_flood_of_refused_requests_makes_a_bounded_number_of_records(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    wrong = 300
    with capture_logs() as lines:
        async with serving_api(database, tenant, admin=TOKENS) as operator:
            operations = itertools.islice(itertools.cycle(OPERATIONS), wrong)
            answers = await asyncio.gather(
                *(
                    operator.with_token(f"wrong-{n:020}").call(
                        each.method, each.path.replace("{id}", str(uuid4()))
                    )
                    for n, each in enumerate(operations)
                )
            )

    # The daemon has stopped: what was counted is written.
    found = await records(app)
    assert {each.status for each in answers} <= {401, 429}
    assert sum(each["count"] for each in found) == wrong
    assert len(found) <= 2 * (2 * refused_requests.MAX_KINDS_OF_PEER + 1)
    assert {each["peer"] for each in found} == {"127.0.0.1"}
    assert sum(each["event"] == "audit.recorded" for each in lines) == len(found)
    assert "wrong-0" not in f"{found} {lines}"


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


async def test_what_was_counted_is_written_at_the_end_of_the_window(
    app: Application, database: str
) -> None:
    pool = Database(database, size=2)
    await pool.open()
    audit_log = AuditLog(pool, peer_of=lambda _: None, window_seconds=0.01)
    refused = AuditRecord("listWebhooks", NOBODY, "192.0.2.1", None, status=401)
    for _ in range(3):
        audit_log.refuse(refused)
    await until(lambda: app.db.fetchval("SELECT count(*) = 2 FROM webhook_audit"))
    audit_log.refuse(refused)
    await audit_log.close()
    await pool.close(within=timedelta(seconds=2))

    assert sorted(each["count"] for each in await records(app)) == [1, 1, 2]


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


async def test_wrong_tokens_beyond_the_limit_are_recorded_as_such(
    app: Application, database: str
) -> None:
    async with serving_api(database, await app.tenant(), admin=TOKENS) as operator:
        for n in range(25):
            await operator.with_token(f"wrong-{n:020}").get("/api/webhooks")

    found = {(each["status"], each["count"]) for each in await records(app)}
    assert found == {(401, 1), (401, 19), (429, 1), (429, 4)}
