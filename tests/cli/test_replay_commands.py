"""`webhookd retry` and `webhookd replay`, called as processes."""

import asyncio
import json
import os
import pty
import re
import signal
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from daemon.cli.support.time_options import moment, window
from daemon.core.errors import UsageError
from daemon.core.model.ids import ReplayId
from tests.support.application import Application
from tests.support.commandline import MODULE, Ended, environment, running, webhookd
from tests.support.daemons import serving, until
from tests.support.deliveries import insert_delivery, settled
from tests.support.receiver import Receiver, Reply
from tests.support.replays import YESTERDAY, request_for, start, store_events, until_ended

NOW = datetime(2025, 11, 25, 16, tzinfo=UTC)
DAY = f"{YESTERDAY:%F}"


@pytest.fixture
async def webhook(app: Application, receiver: Receiver) -> UUID:
    return await app.webhook(await app.tenant(), receiver.url + "/hook", types=["email.*"])


async def tenant_of(app: Application, webhook: UUID) -> UUID:
    found = await app.db.fetchval("SELECT tenant_id FROM webhooks WHERE id = $1", webhook)
    return UUID(str(found))


# Times.


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2025-11-20T14:00:00Z", datetime(2025, 11, 20, 14, tzinfo=UTC)),
        ("2025-11-20 14:00:00.5+02:00", datetime(2025, 11, 20, 12, 0, 0, 500_000, tzinfo=UTC)),
        ("2025-11-20", datetime(2025, 11, 20, tzinfo=UTC)),
        ("1h30m", NOW - timedelta(minutes=90)),
        ("90d", NOW - timedelta(days=90)),
    ],
)
def test_a_moment_is_a_time_a_day_or_how_long_ago(text: str, meant: datetime) -> None:
    assert moment("--from", text, now=NOW) == meant


@pytest.mark.parametrize(
    "text",
    ["", "now", "2025-11-20T14:00:00", "2025-11-31", "20251120", "14:00", "2 h", "-2h",
     "0001-01-01T00:00:00+02:00", "999999999d"],
)  # fmt: skip
def test_what_is_no_moment_is_told_with_its_option(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--to: must be a time like"):
        moment("--to", text, now=NOW)


def test_a_window_is_open_at_its_end_unless_it_is_closed() -> None:
    assert window("2025-11-20", None) == (datetime(2025, 11, 20, tzinfo=UTC), None)
    assert window("2025-11-20", "2025-11-21")[1] == datetime(2025, 11, 21, tzinfo=UTC)


# retry


async def test_one_delivery_is_made_again(
    tmp_path: Path, database: str, app: Application, receiver: Receiver, webhook: UUID
) -> None:
    env = {"DATABASE_URL": database}
    failed = await insert_delivery(app, webhook, status="failed", next_retry_at=None)
    async with serving(database):
        ended = await webhookd("retry", str(failed), "--json", folder=tmp_path, env=env)
        await until(lambda: settled(app, webhook, "success", 1))

    made = (await app.deliveries(webhook))[-1]
    assert (ended.code, json.loads(ended.out)) == (0, {"id": str(made["id"])})


async def test_what_cannot_be_retried_is_told(
    tmp_path: Path, database: str, app: Application, webhook: UUID
) -> None:
    env = {"DATABASE_URL": database}
    unknown = uuid4()
    waiting = await insert_delivery(app, webhook)
    await app.db.execute("UPDATE webhooks SET is_active = false WHERE id = $1", webhook)

    absent, paused, nowhere = await asyncio.gather(
        webhookd("retry", str(unknown), folder=tmp_path, env=env),
        webhookd("retry", str(waiting), folder=tmp_path, env=env),
        webhookd("retry", "--webhook", str(unknown), "--from", "1d", folder=tmp_path, env=env),
    )

    assert absent == Ended(1, "", f"webhookd: there is no delivery {unknown}\n")
    assert paused == Ended(1, "", f"webhookd: the webhook {webhook} is paused: resume it first\n")
    assert nowhere == Ended(1, "", f"webhookd: there is no webhook {unknown}\n")


async def test_all_that_was_given_up_in_a_time_is_made_again(
    tmp_path: Path, database: str, app: Application, receiver: Receiver, webhook: UUID
) -> None:
    env = {"DATABASE_URL": database}
    arguments = ("retry", "--webhook", str(webhook), "--from", "1d")
    for _ in range(3):
        await insert_delivery(app, webhook, status="failed", next_retry_at=None)
    async with serving(database):
        told = await webhookd(*arguments, "--json", folder=tmp_path, env=env)
        await until_ended(app, ReplayId(UUID(json.loads(told.out)["replayId"])))
        nothing = await webhookd(*arguments, folder=tmp_path, env=env)
        for_programs = await webhookd(*arguments, "--json", folder=tmp_path, env=env)

    assert json.loads(told.out)["count"] == len(receiver.received) == 3
    assert nothing == Ended(0, "no delivery was given up in that time\n", "")
    assert json.loads(for_programs.out) == {"count": 0, "replayId": None}


# replay


async def test_a_dry_run_counts_and_sends_nothing(
    tmp_path: Path, database: str, app: Application, receiver: Receiver, webhook: UUID
) -> None:
    env = {"DATABASE_URL": database}
    tenant = await tenant_of(app, webhook)
    await store_events(app, tenant, 1200)
    await store_events(app, tenant, 5, type="contact.created")
    arguments = ("replay", "--webhook", str(webhook), "--from", DAY, "--dry-run")
    async with serving(database):
        told, narrowed = await asyncio.gather(
            webhookd(*arguments, folder=tmp_path, env=env),
            webhookd(*arguments, "--json", "--type", "email.sent", folder=tmp_path, env=env),
        )

    assert told == Ended(0, "1,200 events\n", "")
    assert json.loads(narrowed.out) == {"total": 0}
    assert await app.db.fetchval("SELECT count(*) FROM webhook_replays") == 0
    assert receiver.received == []


async def test_a_replay_is_watched_until_it_is_done(
    tmp_path: Path, database: str, app: Application, receiver: Receiver, webhook: UUID
) -> None:
    env = {"DATABASE_URL": database}
    await store_events(app, await tenant_of(app, webhook), 50)
    arguments = ("replay", "--webhook", str(webhook), "--from", DAY, "--to", "1m")
    async with serving(database):
        told = await webhookd(*arguments, folder=tmp_path, env=env)
        for_programs = await webhookd(*arguments, "--json", folder=tmp_path, env=env)

    begun, ended = told.out.splitlines()
    report = json.loads(for_programs.out)
    assert (told.code, told.err, for_programs.code) == (0, "", 0)
    assert re.fullmatch(r"replay [0-9a-f-]{36}: 50 events", begun)
    assert ended == "completed: 50 of 50 sent"
    assert (report["status"], report["total"], report["sent"]) == ("completed", 50, 50)
    assert (report["webhookId"], report["from"]) == (str(webhook), f"{DAY}T00:00:00Z")
    assert len(receiver.received) == 100


async def test_one_that_is_not_waited_for_can_be_looked_at_and_cancelled(
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
    assert running_still == Ended(0, "running: 0 of 9 sent\n", "")
    assert json.loads(cancelled.out)["status"] == "cancelled"
    assert again == Ended(0, "cancelled: 0 of 9 sent\n", "")


async def test_what_cannot_be_replayed_looked_at_or_cancelled_is_told(
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

    assert absent == Ended(1, "", f"webhookd: there is no replay {unknown}\n")
    assert nowhere == Ended(1, "", f"webhookd: there is no webhook {unknown}\n")
    assert (unusable.code, unusable.out) == (1, "")
    assert unusable.err.startswith("webhookd: the webhook wants no event: event_filters: there is")
    assert late == Ended(1, "", "webhookd: the replay is over: completed: 0 of 0 sent\n")


async def test_that_no_daemon_runs_or_the_webhook_is_paused_is_said_once(
    tmp_path: Path, database: str, app: Application, webhook: UUID
) -> None:
    env = {"DATABASE_URL": database}
    await store_events(app, await tenant_of(app, webhook), 9)
    arguments = ("replay", "--webhook", str(webhook), "--from", DAY)
    async with running(*arguments, folder=tmp_path, env=env) as watching:
        await watching.line(lambda line: "not begun yet: no daemon runs" in line, err=True)
        await app.db.execute("UPDATE webhooks SET is_active = false WHERE id = $1", webhook)
        await watching.line(lambda line: "the webhook is paused" in line, err=True)
        await app.db.execute("UPDATE webhooks SET is_active = true WHERE id = $1", webhook)
        async with serving(database):
            code = await watching.wait()

    assert code == 0
    assert len(watching.err) == 2
    assert watching.out[-1] == "completed: 9 of 9 sent"


async def test_ctrl_c_ends_the_watching_and_not_the_replay(
    tmp_path: Path, database: str, app: Application, receiver: Receiver, webhook: UUID
) -> None:
    receiver.answer = lambda _: Reply(after=0.05)
    env = {"DATABASE_URL": database}
    await store_events(app, await tenant_of(app, webhook), 100)
    arguments = ("replay", "--webhook", str(webhook), "--from", DAY)
    async with serving(database):
        async with running(*arguments, folder=tmp_path, env=env) as watching:
            [begun] = await watching.lines(1)
            await until(lambda: len(receiver.received) >= 5)
            code = await watching.stop(signal.SIGINT)
        replay = UUID(begun.split()[1].removesuffix(":"))
        ended = await until_ended(app, ReplayId(replay))

    assert code == 130
    assert watching.err == [
        f"webhookd: the replay goes on; to stop it: webhookd replay --cancel {replay}"
    ]
    assert ended.sent == 100


async def test_one_that_somebody_else_cancels_has_failed(
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

    assert (code, watching.err) == (1, ["webhookd: the replay was cancelled: 0 of 9 sent"])


async def test_on_a_terminal_a_bar_shows_how_far_it_is(
    tmp_path: Path, database: str, app: Application, webhook: UUID
) -> None:
    await store_events(app, await tenant_of(app, webhook), 30)
    mine, theirs = pty.openpty()
    async with serving(database):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, *MODULE, "replay", "--webhook", str(webhook), "--from", DAY),
            cwd=tmp_path,
            env=environment({"DATABASE_URL": database, "TERM": "xterm", "COLUMNS": "80"}),
            stdin=theirs,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=theirs,
        )
        os.close(theirs)
        shown = await asyncio.wait_for(asyncio.to_thread(_all_of, mine), 30)
        code = await process.wait()
    os.close(mine)

    assert code == 0
    assert "30/30" in shown
    assert "━" in shown


def _all_of(terminal: int) -> str:
    """What is shown there until nobody holds the other side."""
    shown = b""
    with suppress(OSError):
        while more := os.read(terminal, 65536):
            shown += more
    return shown.decode()
