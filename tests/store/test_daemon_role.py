"""The rights that `webhookd check` asks for the daemon's role are enough for all of its work."""

from collections.abc import AsyncIterator
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from daemon.store.privileges import FUNCTIONS, NEEDED, NEEDED_BY_API
from tests.support.api_client import serving_api
from tests.support.application import Application
from tests.support.daemons import until
from tests.support.receiver import Receiver, Reply

FAILURES = {"loop.failed", "request.failed", "dispatcher.lane_failed", "result.unstorable"}
LAST_TO_BE_PRUNED = """
    INSERT INTO webhook_mail_recipients VALUES ('old@example.com', now() - interval '30 days')
"""


@pytest.fixture
async def daemon_url(app: Application, database: str) -> AsyncIterator[str]:
    """The URL of a role with exactly these rights."""
    name = f"daemon_{uuid4().hex[:12]}"
    await app.db.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
    for table, privileges in NEEDED.items():
        await app.db.execute(f"GRANT {', '.join(privileges)} ON {table} TO {name}")
    for table, privilege in NEEDED_BY_API:
        await app.db.execute(f"GRANT {privilege} ON {table} TO {name}")
    for function in FUNCTIONS:
        if function.startswith("webhook_"):
            await app.db.execute(f"GRANT EXECUTE ON FUNCTION {function} TO {name}")
    url = urlsplit(database)
    yield url._replace(netloc=f"{name}:secret@{url.hostname}:{url.port}").geturl()
    await app.db.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


async def test_a_daemon_with_exactly_these_rights_works(
    app: Application, daemon_url: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    receiver.answer = lambda _: Reply(503 if len(receiver.received) % 2 else 200)
    await app.db.execute(LAST_TO_BE_PRUNED)
    short = {"events": "1s", "deliveries": "1s", "audit": "1s"}
    with capture_logs() as lines:
        async with serving_api(
            daemon_url, tenant, retention=short, delivery={"retry_schedule": ["50ms"]}
        ) as api:
            webhook = (await api.create_webhook(receiver.url))["id"]
            event = await app.event(tenant)
            await until(lambda: len(receiver.received) == 2)
            answers = [
                await api.post(f"/api/webhooks/{webhook}/test"),
                await api.patch(f"/api/webhooks/{webhook}", {"eventTypes": ["email.*"]}),
                await api.post(f"/api/webhooks/{webhook}/rotate-secret"),
                await api.post("/api/replays", {"webhookId": webhook, "from": "2020-01-01T00:00Z"}),
                await api.get(f"/api/events/{event}"),
                await api.get(f"/api/webhooks/{webhook}/deliveries"),
                await api.post("/api/tenant-tokens", {"tenantId": str(tenant)}),
                await api.post(f"/api/webhooks/{webhook}/pause"),
                await api.delete(f"/api/webhooks/{webhook}"),
            ]
            await until(lambda: is_pruned(app))

    assert [each.status for each in answers if each.status >= 500] == []
    assert [line for line in lines if line["event"] in FAILURES] == []


async def is_pruned(app: Application) -> bool:
    """Whether a round of retention has come to its last table."""
    return not await app.db.fetchval("SELECT count(*) FROM webhook_mail_recipients")
