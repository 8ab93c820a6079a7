"""A database that belongs to another installation is not sent from, until it is adopted."""

import asyncio
from pathlib import Path
from typing import Any

from daemon.service import Service
from daemon.store import installation
from tests.support.api_client import OPERATOR, operator_client
from tests.support.application import Application
from tests.support.commandline import CompletedCommand, one_line, webhookd
from tests.support.daemons import get_json, serving, until
from tests.support.deliveries import insert_delivery, nothing_pending, settled
from tests.support.receiver import Receiver

REASON = (
    'the database belongs to the installation "production", and installation.name is "staging":'
    " nothing is sent until `webhookd adopt`"
)
STAGING: dict[str, dict[str, Any]] = {
    "installation": {"name": "staging"},
    "admin": {"tokens": [OPERATOR]},
}
STATE = """
    SELECT (SELECT array_agg(d::text) FROM webhook_deliveries AS d)::text,
           (SELECT array_agg(e::text) FROM webhook_event_inbox AS e)::text,
           (SELECT array_agg(w::text) FROM webhooks AS w)::text
"""


async def readyz(service: Service) -> tuple[int, Any]:
    return await asyncio.to_thread(get_json, f"http://127.0.0.1:{service.port}/readyz")


async def is_ready(service: Service, status: int) -> bool:
    return (await readyz(service))[0] == status


async def test_a_restored_dump_is_not_touched_until_it_is_adopted(
    app: Application, database: str, receiver: Receiver, tmp_path: Path
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    await insert_delivery(app, webhook, next_retry_at=await app.db.fetchval("SELECT now()"))
    await app.event(tenant)
    await installation.adopt(app.db, "production")
    before = await app.db.fetchrow(STATE)
    env = {"DATABASE_URL": database, "WEBHOOKD_INSTALLATION__NAME": "staging"}

    async def run(*arguments: str) -> CompletedCommand:
        return await webhookd(*arguments, folder=tmp_path, env=env)

    async with serving(database, **STAGING) as service:
        status, answer = await readyz(service)
        async with operator_client(service, tenant) as api:
            refused = await api.post(f"/api/webhooks/{webhook}/test")
        checked, unasked = await asyncio.gather(run("check"), run("adopt"))
        after, sent = await app.db.fetchrow(STATE), len(receiver.received)
        adopted = await run("adopt", "--yes")
        await until(lambda: settled(app, webhook, "success", 2))
        await until(lambda: is_ready(service, 200))
    again = await run("adopt")

    assert (status, answer["checks"]) == (503, {"installation": {"ok": False, "error": REASON}})
    assert (refused.status, refused.error) == (503, REASON)
    assert (checked.code, REASON in checked.out) == (1, True)
    assert (unasked.code, unasked.out) == (2, "")
    assert "go out at once: 1; later: 0; events to be delivered: 1.\n" in unasked.err
    assert one_line(unasked.err.splitlines(keepends=True)[-1])
    assert (after, sent) == (before, 0)
    assert (adopted.code, adopted.out) == (0, 'The database belongs to "staging" now.\n')
    assert again == CompletedCommand(0, 'The database belongs to "staging" already.\n', "")
    assert len(receiver.received) == 2


async def test_a_dump_that_is_restored_under_a_running_daemon_is_not_sent(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url + "/hook")
    async with serving(database, **STAGING) as service:
        await app.event(tenant)
        await until(lambda: settled(app, webhook, "success", 1))
        taken = await installation.name_of(app.db)
        async with app.db.transaction():  # as a restore, at any moment
            await installation.adopt(app.db, "production")
            await insert_delivery(app, webhook, next_retry_at=await app.db.fetchval("SELECT now()"))
            await app.event(tenant)
        await until(lambda: says(service, REASON))
        sent = len(receiver.received)
        await app.db.execute("DELETE FROM webhook_installation")
        await until(lambda: says(service, "belongs to no installation"))
        left = await installation.name_of(app.db)
        await installation.adopt(app.db, "staging")
        await until(lambda: settled(app, webhook, "success", 3))
        await until(lambda: nothing_pending(app))

    assert (taken, sent, left) == ("staging", 1, None)
    assert len(receiver.received) == 3


async def says(service: Service, text: str) -> bool:
    status, answer = await readyz(service)
    return status == 503 and text in answer["checks"].get("installation", {}).get("error", "")
