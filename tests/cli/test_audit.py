"""Commands that change something leave an audit record: who is the user of the system."""

import getpass
import json
import socket
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from tests.support.application import Application
from tests.support.commandline import webhookd
from tests.support.deliveries import insert_delivery


async def records(app: Application) -> list[asyncpg.Record]:
    found: list[asyncpg.Record] = await app.db.fetch("SELECT * FROM webhook_audit ORDER BY at")
    return found


async def test_every_command_that_changes_something_is_recorded(
    tmp_path: Path, database: str, app: Application, webhook: UUID
) -> None:
    tenant = await app.db.fetchval("SELECT tenant_id FROM webhooks")
    failed = await insert_delivery(app, webhook, status="failed", next_retry_at=None)
    await app.event(tenant)
    event_range = ("--webhook", str(webhook), "--from", "1d")

    async def run(*arguments: str) -> str:
        done = await webhookd(*arguments, folder=tmp_path, env={"DATABASE_URL": database})
        assert (done.code, done.err) == (0, ""), done
        return done.out

    await run("rotate-secret", str(webhook))
    await run("retry", *event_range)
    await run("retry", str(failed))
    replay = json.loads(await run("replay", *event_range, "--no-wait", "--json"))["id"]
    await run("replay", "--cancel", replay)
    await run("forget", "--tenant", str(tenant), "--contact", "eve@example.com", "--yes")

    found = await records(app)
    assert [(each["action"], each["object_type"], each["object_id"]) for each in found] == [
        ("rotateWebhookSecret", "webhook", webhook),
        ("retryFailedDeliveries", "webhook", webhook),
        ("retryDelivery", "delivery", failed),
        ("createReplay", "replay", UUID(replay)),
        ("cancelReplay", "replay", UUID(replay)),
        ("eraseContact", "contact", None),
    ]
    assert {(each["actor_kind"], each["actor"], each["peer"]) for each in found} == {
        ("command_line", getpass.getuser(), socket.gethostname())
    }
    assert {each["tenant_id"] for each in found} == {tenant}
    assert "eve" not in str(found)


@pytest.mark.full
async def test_commands_that_only_look_or_fail_leave_no_record(
    tmp_path: Path, database: str, app: Application, webhook: UUID
) -> None:
    tenant = await app.db.fetchval("SELECT tenant_id FROM webhooks")
    waiting = await insert_delivery(app, webhook)
    await app.db.execute("UPDATE webhooks SET is_active = false")
    env = {"DATABASE_URL": database}
    for arguments in (
        ("replay", "--webhook", str(webhook), "--from", "1d", "--dry-run"),
        ("forget", "--tenant", str(tenant), "--everything", "--dry-run"),
        ("retry", str(waiting)),
        ("rotate-secret", str(waiting)),
        ("check",),
    ):
        await webhookd(*arguments, folder=tmp_path, env=env)

    assert await records(app) == []
