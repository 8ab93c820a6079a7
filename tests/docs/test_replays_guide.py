"""The commands of "We were down for an hour" in docs/replays.md, run in their order."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from daemon.core.model.ids import ReplayId
from tests.support.application import Application
from tests.support.commandline import environment, without_database
from tests.support.daemons import serving, until
from tests.support.deliveries import nothing_pending, settled
from tests.support.forked_process import shell_command
from tests.support.receiver import Received, Receiver, Reply
from tests.support.replays import until_ended

GUIDE = Path(__file__).parents[2] / "docs/replays.md"
HOUR = timedelta(hours=1)


def commands() -> list[str]:
    return re.findall(r"```sh\n(.*?)```", GUIDE.read_text(), re.DOTALL)


async def run(command: str, variables: dict[str, str], folder: Path) -> tuple[str, str]:
    process = await asyncio.create_subprocess_shell(
        f'webhookd() {{ {shell_command()} "$@"; }}\n{command}',
        cwd=folder,
        env=environment(variables),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, err
    return out.decode(), without_database(err.decode())


class Down:
    """The receiver fails for the events whose number is among those that are `down`."""

    def __init__(self, receiver: Receiver) -> None:
        self.down: set[int] = set()
        receiver.answer = self._answer

    def _answer(self, request: Received) -> Reply:
        return Reply(503 if request.event["data"]["n"] in self.down else 200)


async def test_after_an_hour_of_downtime_exactly_what_is_missing_is_sent(
    app: Application, database: str, receiver: Receiver, tmp_path: Path
) -> None:
    tenant = await app.tenant()
    webhook = await app.webhook(tenant, receiver.url)
    endpoint = Down(receiver)
    endpoint.down = set(range(40, 100))
    variables = {
        "DATABASE_URL": database,
        "WEBHOOK": str(webhook),
        "FROM": f"{datetime.now(UTC) - HOUR:%FT%TZ}",
        "TO": f"{datetime.now(UTC) + HOUR:%FT%TZ}",
    }
    delivery = {"retry_schedule": ["1h"], "failing_backoff": "0s", "pause_after": 1000}
    async with serving(database, delivery=delivery):
        for n in range(100):
            await app.event(tenant, {"n": n})
        await until(lambda: settled(app, webhook, "failed", 60))
        await until(lambda: settled(app, webhook, "success", 40))
        endpoint.down = {40, 41}

        dry, replay, retry = commands()
        counted = await run(dry, variables, tmp_path)
        sent, _ = await run(replay, variables, tmp_path)
        [variables["REPLAY"]] = re.findall(r"replay ([0-9a-f-]{36}):", sent)
        endpoint.down = set()
        retried, _ = await run(retry, variables, tmp_path)
        [again] = re.findall(r"the replay ([0-9a-f-]{36})", retried)
        await until_ended(app, ReplayId(UUID(again)))
        await until(lambda: nothing_pending(app))

    rows = await app.deliveries(webhook)
    assert counted == (
        "60 events; 40 others were delivered before\n",
        (
            "webhookd: 40 of the 100 events were delivered before and are left out; --all sends"
            " them again\n"
        ),
    )
    assert sent.splitlines()[-1] == ("completed: 60 of 60 sent; 58 delivered, 2 failed, 0 waiting")
    assert retried.startswith("2 deliveries are retried by the replay ")
    assert sum(row["status"] == "success" for row in rows) == 100
    assert len(receiver.received) == 100 + 60 + 2
