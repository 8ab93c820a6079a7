"""`webhookd retry`, run as a process."""

import asyncio
import json
from pathlib import Path
from uuid import UUID, uuid4

from daemon.core.model.ids import ReplayId
from tests.support.application import Application
from tests.support.commandline import CompletedCommand, webhookd
from tests.support.daemons import serving, until
from tests.support.deliveries import insert_delivery, settled
from tests.support.receiver import Receiver
from tests.support.replays import until_ended


async def test_one_delivery_is_retried(
    tmp_path: Path, database: str, app: Application, receiver: Receiver, webhook: UUID
) -> None:
    env = {"DATABASE_URL": database}
    failed = await insert_delivery(app, webhook, status="failed", next_retry_at=None)
    async with serving(database):
        ended = await webhookd("retry", str(failed), "--json", folder=tmp_path, env=env)
        await until(lambda: settled(app, webhook, "success", 1))

    made = (await app.deliveries(webhook))[-1]
    assert (ended.code, json.loads(ended.out)) == (0, {"id": str(made["id"])})


async def test_an_unknown_delivery_or_webhook_and_a_paused_webhook_are_reported(
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

    assert absent == CompletedCommand(1, "", f"webhookd: there is no delivery {unknown}\n")
    assert paused == CompletedCommand(
        1, "", f"webhookd: the webhook {webhook} is paused: resume it first\n"
    )
    assert nowhere == CompletedCommand(1, "", f"webhookd: there is no webhook {unknown}\n")


async def test_all_exhausted_deliveries_of_a_time_range_are_retried(
    tmp_path: Path, database: str, app: Application, receiver: Receiver, webhook: UUID
) -> None:
    env = {"DATABASE_URL": database}
    arguments = ("retry", "--webhook", str(webhook), "--from", "1d")
    for _ in range(3):
        await insert_delivery(app, webhook, status="failed", next_retry_at=None)
    async with serving(database):
        retried = await webhookd(*arguments, "--json", folder=tmp_path, env=env)
        await until_ended(app, ReplayId(UUID(json.loads(retried.out)["replayId"])))
        nothing = await webhookd(*arguments, folder=tmp_path, env=env)
        nothing_as_json = await webhookd(*arguments, "--json", folder=tmp_path, env=env)

    assert json.loads(retried.out)["count"] == len(receiver.received) == 3
    assert nothing == CompletedCommand(0, "no delivery was exhausted in that time\n", "")
    assert json.loads(nothing_as_json.out) == {"count": 0, "replayId": None}
