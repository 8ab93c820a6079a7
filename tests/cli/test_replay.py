"""`webhookd replay`, run as a process."""

import asyncio
import json
import os
import pty
import re
import signal
import sys
from contextlib import suppress
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from daemon.core.model.ids import ReplayId
from tests.support.application import Application
from tests.support.commandline import MODULE, CompletedCommand, environment, running, webhookd
from tests.support.daemons import serving, until
from tests.support.receiver import Receiver, Reply
from tests.support.replays import YESTERDAY, request_for, start, store_events, until_ended

DAY = f"{YESTERDAY:%F}"


async def tenant_of(app: Application, webhook: UUID) -> UUID:
    found = await app.db.fetchval("SELECT tenant_id FROM webhooks WHERE id = $1", webhook)
    return UUID(str(found))


async def test_a_dry_run_counts_and_sends_nothing(
    tmp_path: Path, database: str, app: Application, receiver: Receiver, webhook: UUID
) -> None:
    env = {"DATABASE_URL": database}
    tenant = await tenant_of(app, webhook)
    await store_events(app, tenant, 1200)
    await store_events(app, tenant, 5, type="contact.created")
    arguments = ("replay", "--webhook", str(webhook), "--from", DAY, "--dry-run")
    async with serving(database):
        counted, narrowed = await asyncio.gather(
            webhookd(*arguments, folder=tmp_path, env=env),
            webhookd(*arguments, "--json", "--type", "email.sent", folder=tmp_path, env=env),
        )

    assert counted == CompletedCommand(0, "1,200 events\n", "")
    assert json.loads(narrowed.out) == {
        "total": 0,
        "deliveredBefore": 0,
        "unknown": 0,
        "changed": 0,
        "reason": "none of the 1,205 events of that time has one of these types",
    }
    assert await app.db.fetchval("SELECT count(*) FROM webhook_replays") == 0
    assert receiver.received == []


async def test_a_replay_is_watched_until_it_is_done(
    tmp_path: Path, database: str, app: Application, receiver: Receiver, webhook: UUID
) -> None:
    env = {"DATABASE_URL": database}
    await store_events(app, await tenant_of(app, webhook), 50)
    arguments = ("replay", "--webhook", str(webhook), "--from", DAY, "--to", "1m")
    async with serving(database):
        watched = await webhookd(*arguments, folder=tmp_path, env=env)
        as_json = await webhookd(*arguments, "--all", "--json", folder=tmp_path, env=env)

    begun, ended = watched.out.splitlines()
    report = json.loads(as_json.out)
    assert (watched.code, watched.err, as_json.code) == (0, "", 0)
    assert re.fullmatch(r"replay [0-9a-f-]{36}: 50 events", begun)
    assert ended == "completed: 50 of 50 sent; 50 delivered, 0 failed, 0 waiting"
    assert (report["status"], report["total"], report["sent"]) == ("completed", 50, 50)
    assert (report["webhookId"], report["from"]) == (str(webhook), f"{DAY}T00:00:00Z")
    assert len(receiver.received) == 100


@pytest.mark.full
async def test_a_replay_that_runs_unwatched_can_be_shown_and_cancelled(
    tmp_path: Path, database: str, app: Application, webhook: UUID
) -> None:
    env = {"DATABASE_URL": database}
    await store_events(app, await tenant_of(app, webhook), 9)
    arguments = ("replay", "--webhook", str(webhook), "--from", DAY)
    begun = await webhookd(*arguments, "--no-wait", "--json", folder=tmp_path, env=env)
    replay = json.loads(begun.out)["id"]
    running_still = await webhookd("replay", "--status", replay, folder=tmp_path, env=env)
    cancelled = await webhookd("replay", "--cancel", replay, "--json", folder=tmp_path, env=env)
    again = await webhookd("replay", "--cancel", replay, folder=tmp_path, env=env)

    assert (begun.code, json.loads(begun.out)["status"]) == (0, "running")
    assert running_still == CompletedCommand(
        0, "running: 0 of 9 sent; 0 delivered, 0 failed, 9 waiting\n", ""
    )
    assert json.loads(cancelled.out)["status"] == "cancelled"
    assert again == CompletedCommand(
        0, "cancelled: 0 of 9 sent; 0 delivered, 0 failed, 0 waiting\n", ""
    )


async def test_a_replay_that_cannot_be_begun_shown_or_cancelled_is_reported(
    tmp_path: Path, database: str, app: Application, webhook: UUID
) -> None:
    env = {"DATABASE_URL": database}
    unknown = str(uuid4())
    await app.db.execute(
        """UPDATE webhooks SET event_filters = '{"x": 1}' WHERE id = $1""", webhook
    )
    absent, nowhere, unusable = await asyncio.gather(
        webhookd("replay", "--status", unknown, folder=tmp_path, env=env),
        webhookd("replay", "--webhook", unknown, "--from", "1d", folder=tmp_path, env=env),
        webhookd("replay", "--webhook", str(webhook), "--from", "1d", folder=tmp_path, env=env),
    )
    await app.db.execute("UPDATE webhooks SET event_filters = NULL WHERE id = $1", webhook)
    async with serving(database):
        done = await until_ended(app, (await start(app, request_for(webhook))).id)
    late = await webhookd("replay", "--cancel", str(done.id), folder=tmp_path, env=env)

    assert absent == CompletedCommand(1, "", f"webhookd: there is no replay {unknown}\n")
    assert nowhere == CompletedCommand(1, "", f"webhookd: there is no webhook {unknown}\n")
    assert (unusable.code, unusable.out) == (1, "")
    assert unusable.err.startswith("webhookd: the webhook wants no event: event_filters: there is")
    assert late == CompletedCommand(
        1,
        "",
        "webhookd: the replay has already ended: completed: 0 of 0 sent; 0 delivered, 0 failed,"
        " 0 waiting\n",
    )


async def test_a_missing_daemon_and_a_paused_webhook_are_each_mentioned_once(
    tmp_path: Path, database: str, app: Application, webhook: UUID
) -> None:
    env = {"DATABASE_URL": database}
    await store_events(app, await tenant_of(app, webhook), 9)
    arguments = ("replay", "--webhook", str(webhook), "--from", DAY)
    async with running(*arguments, folder=tmp_path, env=env) as watching:
        await watching.line(lambda line: "not begun yet: no daemon is running" in line, err=True)
        await app.db.execute("UPDATE webhooks SET is_active = false WHERE id = $1", webhook)
        await watching.line(lambda line: "the webhook is paused" in line, err=True)
        await app.db.execute("UPDATE webhooks SET is_active = true WHERE id = $1", webhook)
        async with serving(database):
            code = await watching.wait()

    assert code == 0
    assert len(watching.err) == 2
    assert watching.out[-1] == "completed: 9 of 9 sent; 9 delivered, 0 failed, 0 waiting"


async def test_ctrl_c_stops_the_watching_but_not_the_replay(
    tmp_path: Path, database: str, app: Application, receiver: Receiver, webhook: UUID
) -> None:
    may_go_on = asyncio.Event()
    receiver.answer = lambda _: Reply(when=may_go_on if len(receiver.received) > 5 else None)
    env = {"DATABASE_URL": database}
    await store_events(app, await tenant_of(app, webhook), 100)
    arguments = ("replay", "--webhook", str(webhook), "--from", DAY)
    async with serving(database):
        async with running(*arguments, folder=tmp_path, env=env) as watching:
            [begun] = await watching.lines(1)
            await until(lambda: len(receiver.received) >= 5)
            code = await watching.stop(signal.SIGINT)
        may_go_on.set()
        replay = UUID(begun.split()[1].removesuffix(":"))
        ended = await until_ended(app, ReplayId(replay))

    assert code == 130
    assert watching.err == [
        f"webhookd: the replay continues; to stop it: webhookd replay --cancel {replay}"
    ]
    assert ended.sent == 100


async def test_a_watched_replay_that_is_cancelled_elsewhere_exits_with_1(
    tmp_path: Path, database: str, app: Application, webhook: UUID
) -> None:
    env = {"DATABASE_URL": database}
    await store_events(app, await tenant_of(app, webhook), 9)
    arguments = ("replay", "--webhook", str(webhook), "--from", DAY)
    async with running(*arguments, folder=tmp_path, env=env) as watching:
        [begun] = await watching.lines(1)
        replay = begun.split()[1].removesuffix(":")
        await webhookd("replay", "--cancel", replay, folder=tmp_path, env=env)
        code = await watching.wait()

    sentence = "the replay was cancelled: 0 of 9 sent; 0 delivered, 0 failed, 0 waiting"
    assert (code, watching.err[-1]) == (1, f"webhookd: {sentence}")


async def test_a_terminal_shows_a_progress_bar(
    tmp_path: Path, database: str, app: Application, webhook: UUID
) -> None:
    await store_events(app, await tenant_of(app, webhook), 30)
    controller, terminal = pty.openpty()
    async with serving(database):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *MODULE, "replay", "--webhook", str(webhook), "--from", DAY),
            cwd=tmp_path,
            env=environment({"DATABASE_URL": database, "TERM": "xterm", "COLUMNS": "80"}),
            stdin=terminal,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=terminal,
        )
        os.close(terminal)
        shown = await asyncio.wait_for(asyncio.to_thread(_all_of, controller), 30)
        code = await process.wait()
    os.close(controller)

    assert code == 0
    assert "30/30" in shown
    assert "━" in shown


def _all_of(terminal: int) -> str:
    """Return everything shown on the terminal until the last process closes it."""
    shown = b""
    with suppress(OSError):
        while more := os.read(terminal, 65536):
            shown += more
    return shown.decode()
