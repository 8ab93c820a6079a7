"""`webhookd pause` and `webhookd resume`, run as processes."""

import asyncio
import json
from pathlib import Path
from uuid import UUID, uuid4

from tests.support.application import Application
from tests.support.audit import records
from tests.support.commandline import CompletedCommand, webhookd
from tests.support.failing import set_failing


async def test_commands_pause_and_resume_a_webhook_and_are_recorded(
    tmp_path: Path, database: str, app: Application, webhook: UUID
) -> None:
    tenant = await app.db.fetchval("SELECT tenant_id FROM webhooks")
    await set_failing(app, webhook, failures=7)
    env = {"DATABASE_URL": database}

    paused = await webhookd("pause", str(webhook), folder=tmp_path, env=env)
    state = await app.db.fetchrow("SELECT is_active, consecutive_failures FROM webhooks")
    resumed = await webhookd("resume", str(webhook), "--json", folder=tmp_path, env=env)

    assert paused == CompletedCommand(0, f"{webhook} is paused\n", "")
    assert state is not None
    assert tuple(state) == (False, 7)
    assert (resumed.code, resumed.err) == (0, "")
    shown = json.loads(resumed.out)
    assert (shown["id"], shown["state"], shown["consecutiveFailures"]) == (
        *(str(webhook), "active", 0),
    )
    assert [(each["action"], each["tenant_id"]) for each in await records(app)] == [
        *(("pauseWebhook", tenant), ("resumeWebhook", tenant)),
    ]


async def test_a_webhook_that_another_tenant_has_or_none_stays_as_it_is_and_is_not_recorded(
    tmp_path: Path, database: str, app: Application, webhook: UUID
) -> None:
    env, unknown = {"DATABASE_URL": database}, str(uuid4())

    theirs, absent = await asyncio.gather(
        webhookd("pause", str(webhook), "--tenant", unknown, folder=tmp_path, env=env),
        webhookd("resume", unknown, folder=tmp_path, env=env),
    )

    assert theirs == CompletedCommand(1, "", f"webhookd: there is no webhook {webhook}\n")
    assert absent == CompletedCommand(1, "", f"webhookd: there is no webhook {unknown}\n")
    assert await app.db.fetchval("SELECT is_active FROM webhooks")
    assert await records(app) == []
