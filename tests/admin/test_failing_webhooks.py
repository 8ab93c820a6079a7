"""What is failing now, across all tenants: the newest first, each with its last error."""

from uuid import UUID

from daemon.store import failing_webhooks
from tests.support.api_client import serving_api
from tests.support.application import Application
from tests.support.deliveries import insert_delivery
from tests.support.failing import set_failing
from tests.support.postgres import most_rows_read

URL = "http://127.0.0.1:9/hook"
SINCE = "UPDATE webhooks SET failing_since = now() - $2 * interval '1 min' WHERE id = $1"
FAILED = """
    UPDATE webhook_deliveries
       SET attempted_at = now() - interval '1 s', status_code = 503, error_message = 'it said no'
     WHERE id = $1
"""


async def failing(app: Application, tenant: UUID, *, minutes: int) -> UUID:
    """A webhook that has been failing for so long."""
    webhook = await app.webhook(tenant, URL)
    await set_failing(app, webhook, failures=7)
    await app.db.execute(SINCE, webhook, minutes)
    return webhook


async def test_webhooks_of_all_tenants_that_are_failing_are_listed_the_newest_first(
    app: Application, database: str
) -> None:
    tenant, other = await app.tenant(), await app.tenant()
    await app.webhook(tenant, URL)
    paused = await failing(app, tenant, minutes=1)
    await app.db.execute("UPDATE webhooks SET is_active = false WHERE id = $1", paused)
    old, new = [await failing(app, each, minutes=n) for each, n in ((tenant, 9), (other, 2))]
    attempt = await insert_delivery(app, new, status="failed", next_retry_at=None)
    await app.db.execute(FAILED, attempt)

    async with serving_api(database, tenant) as api:
        whole = (await api.get("/api/failing-webhooks")).json
        first = (await api.get("/api/failing-webhooks", limit=1)).json

    assert [each["id"] for each in whole["webhooks"]] == [str(new), str(old)]
    assert whole["complete"]
    assert first == {"webhooks": whole["webhooks"][:1], "complete": False}
    shown = whole["webhooks"][0]
    assert (shown["tenantId"], shown["statusCode"], shown["error"]) == (
        *(str(other), 503, "it said no"),
    )
    assert whole["webhooks"][1]["error"] is None


async def test_only_what_is_failing_is_read(app: Application) -> None:
    tenant = await app.tenant()
    await app.db.execute(
        "INSERT INTO webhooks (tenant_id, name, endpoint_url, secret_key)"
        " SELECT $1, 'x', 'https://a.example/', 'whsec_x' FROM generate_series(1, 3000)",
        tenant,
    )
    await failing(app, tenant, minutes=1)
    await app.db.execute("ANALYZE")

    assert await most_rows_read(app.db, failing_webhooks.FIND_NEWEST, 51) <= 1
