"""The audit's records of refused requests: who was refused what, a bounded number in a minute."""

import asyncio
import itertools
from datetime import timedelta
from uuid import uuid4

from structlog.testing import capture_logs

from daemon.admin.api import refused_requests
from daemon.admin.api.audit import AuditLog
from daemon.admin.api.change_quota import ChangeQuota
from daemon.core.model.audit import UNKNOWN_ACTOR, AuditRecord
from daemon.store.database import Database
from tests.admin.test_access import OPERATIONS
from tests.support.api_client import serving_api
from tests.support.application import Application
from tests.support.audit import READER, TOKENS, records, tenant_client
from tests.support.daemons import until
from tests.support.receiver import Receiver, Reply


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
    assert len(found) <= 2 * (2 * refused_requests.MAX_KINDS_OF_ONE + 1)
    assert {each["peer"] for each in found} == {"127.0.0.1"}
    assert sum(each["event"] == "audit.recorded" for each in lines) == len(found)
    assert "wrong-0" not in f"{found} {lines}"


async def test_what_was_counted_is_written_at_the_end_of_the_window(
    app: Application, database: str
) -> None:
    pool = Database(database, size=2)
    await pool.open()
    audit_log = AuditLog(pool, peer_of=lambda _: None, changes=ChangeQuota(0), window_seconds=0.01)
    refused = AuditRecord("listWebhooks", UNKNOWN_ACTOR, "192.0.2.1", None, status=401)
    for _ in range(3):
        audit_log.refuse(refused)
    await until(lambda: app.db.fetchval("SELECT count(*) = 2 FROM webhook_audit"))
    audit_log.refuse(refused)
    await audit_log.close()
    await pool.close(within=timedelta(seconds=2))

    assert sorted(each["count"] for each in await records(app)) == [1, 1, 2]


async def test_wrong_tokens_beyond_the_limit_are_recorded_as_such(
    app: Application, database: str
) -> None:
    async with serving_api(database, await app.tenant(), admin=TOKENS) as operator:
        for n in range(25):
            await operator.with_token(f"wrong-{n:020}").get("/api/webhooks")

    found = {(each["status"], each["count"]) for each in await records(app)}
    assert found == {(401, 1), (401, 19), (429, 1), (429, 4)}
