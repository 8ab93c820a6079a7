"""The installation as operators look at it: throughput, attention, failing hosts, database."""

from datetime import UTC, datetime, timedelta

from daemon.maintenance.stats_folding import StatsFolding
from daemon.runtime.version import program_version
from daemon.store import migrations, stats_batches
from daemon.store.database import Database
from tests.support.api_client import serving_api
from tests.support.application import Application
from tests.support.results import attempt_result

OLD_NOTICE = """
    INSERT INTO webhook_notices (tenant_id, webhook_id, kind, data, due_at)
    VALUES ($1, $2, 'webhook_failing', '{}', $3::timestamptz)
"""


async def test_an_operator_sees_what_all_daemons_did_and_what_needs_attention(
    app: Application, database: str
) -> None:
    tenant, other = await app.tenant(), await app.tenant()
    down = [await app.webhook(each, "https://Down.example.com:8443/x") for each in (tenant, tenant)]
    down.append(await app.webhook(other, "https://down.example.com/"))
    await app.db.execute(
        "UPDATE webhooks SET is_failing = true, failing_since = now() - interval '1 h',"
        " consecutive_failures = 7, next_probe_at = 'infinity'"
    )
    paused = await app.webhook(tenant, "https://paused.example.com/")
    await app.db.execute("UPDATE webhooks SET is_active = false WHERE id = $1", paused)
    now = datetime.now(UTC)
    for due in (now - timedelta(hours=1), now + timedelta(hours=1)):
        await app.db.execute(OLD_NOTICE, tenant, down[0], due)
    await app.db.execute(
        "UPDATE webhook_notices SET due_at = 'infinity' WHERE id = (SELECT max(id) FROM"
        " webhook_notices)"
    )
    mail = {
        "smtp_url": "smtp://127.0.0.1:9",
        "from": "hooks@example.com",
        "to": ["ops@example.com"],
    }
    async with serving_api(database, tenant, notifications=mail) as operator:
        answer = await operator.with_headers(X_Tenant_ID=None).get("/api/system")
        token = await operator.post("/api/tenant-tokens", {"tenantId": str(tenant)})
        refused = await operator.with_token(token.json["token"]).get("/api/system")

    assert refused.status == 403
    shown = answer.json
    assert shown["version"] == program_version()
    assert {each["name"] for each in shown["loops"]} >= {"fanout", "dispatcher", "retention"}
    [host] = shown["failingHosts"]
    assert host.pop("failingSince") is not None
    assert host == {"host": "down.example.com", "webhooks": 3, "tenants": 2, "failures": 7}
    assert (shown["mail"]["configured"], shown["mail"]["givenUp"]) == (True, 1)
    assert "1 notices could not be mailed, and were given up" in shown["attention"]
    facts = shown["database"]
    assert facts["databaseBytes"] > facts["deliveriesBytes"] > 0
    assert facts["schemaVersion"] == migrations.known()[-1].name
    assert 0 < facts["connections"] <= facts["maxConnections"]


async def test_attempts_of_all_webhooks_are_added_up_before_and_after_they_are_folded(
    app: Application, database: str
) -> None:
    tenant = await app.tenant()
    webhooks = [await app.webhook(tenant, "https://receiver.example/") for _ in range(3)]
    recent = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=2)
    pool = Database(database, size=2)
    await pool.open()

    async def attempted(*statuses: int) -> None:
        async with pool.transaction() as db:
            await stats_batches.add_batch(
                db,
                [
                    attempt_result(status, webhook=webhook, began=recent)
                    for status in statuses
                    for webhook in webhooks
                ],
            )

    await attempted(200, 503)
    await StatsFolding(pool).run_once()
    await attempted(200)
    async with serving_api(database, tenant) as operator:
        unfolded = (await operator.get("/api/system")).json["throughput"]
    await StatsFolding(pool).run_once()
    await app.db.execute("DELETE FROM webhooks WHERE id = $1", webhooks[0])
    async with serving_api(database, tenant) as operator:
        folded = (await operator.get("/api/system")).json["throughput"]
    await pool.close(within=timedelta(seconds=2))

    for found in (unfolded, folded):
        assert (found["perSecond"], found["successRate"]) == (0.03, 2 / 3)
        assert sum(each["delivered"] for each in found["series"]) == 6
        assert sum(each["failed"] for each in found["series"]) == 3
        assert found["complete"]
    assert await app.db.fetchval("SELECT count(*) FROM webhook_stats_batches") == 0
