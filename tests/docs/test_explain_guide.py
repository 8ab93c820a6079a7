"""The commands of docs/explain.md, run in their order."""

import asyncio
import re
import shutil
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest

from tests.support.api_client import OPERATOR, serving_api
from tests.support.application import Application
from tests.support.commandline import ROOT, without_database
from tests.support.daemons import until
from tests.support.deliveries import settled
from tests.support.forked_process import shell_command
from tests.support.receiver import Receiver

GUIDE = ROOT / "docs/explain.md"


async def run(command: str, variables: dict[str, str], folder: Path) -> str:
    process = await asyncio.create_subprocess_shell(
        command,
        cwd=folder,
        env=variables | {"PATH": f"{folder}:/usr/local/bin:/usr/bin:/bin"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert (process.returncode, without_database(err.decode())) == (0, ""), command
    return out.decode()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_commands_of_the_guide_answer_a_customer_s_questions(
    app: Application, database: str, receiver: Receiver, tmp_path: Path
) -> None:
    command = tmp_path / "webhookd"
    command.write_text(f'#!/bin/sh\nexec {shell_command()} "$@"\n')
    command.chmod(0o755)
    tenant = await app.tenant()
    steps = iter(re.findall(r"```sh\n(.*?)```", GUIDE.read_text(), re.DOTALL))
    async with serving_api(database, tenant) as operator:
        picky = await app.webhook(
            tenant, receiver.url, filters={"filters": {"contact.tags": ["vip"]}}
        )
        other = await app.webhook(tenant, receiver.url)
        event = await app.event(tenant, {"contact": {"tags": ["new"]}})
        await until(lambda: settled(app, other, "success", 1))
        [sent] = await app.deliveries(other)
        # The filter is corrected after the fact.
        await app.db.execute("UPDATE webhooks SET event_filters = NULL WHERE id = $1", picky)
        variables = {
            "DATABASE_URL": database,
            "API": operator.url("").rstrip("/"),
            "TOKEN": OPERATOR,
            "TENANT": str(tenant),
            "WEBHOOK": str(picky),
            "EVENT": f"evt_{event.hex}",
            "DELIVERY": str(sent["id"]),
            "HOST": "127.0.0.1",
        }

        async def text() -> str:
            return await run(next(steps), variables, tmp_path)

        async def answer() -> Any:
            return orjson.loads(await text())

        everywhere = await text()
        by_command, over_http, outcomes = await answer(), await answer(), await answer()
        listed, found = await text(), await text()
        webhook, shown_event = await text(), await text()
        delivery = await answer()
        undelivered, preview = await answer(), await answer()

    assert list(steps) == []
    assert f"{picky}  a webhook  filtered" in everywhere
    assert f"{other}  a webhook  delivered" in everywhere
    assert by_command == over_http
    assert by_command["mismatch"]["found"] == ["new"]
    assert [each["outcome"] for each in outcomes["outcomes"]] == ["filtered", "delivered"]
    assert {line.split()[0] for line in listed.splitlines()} == {"ID", str(picky), str(other)}
    assert found == listed
    assert "state" in webhook
    assert str(sent["id"]) in shown_event
    assert UUID(delivery["eventId"]) == event
    [missed] = undelivered["events"]
    assert (missed["messageId"], missed["outcome"]) == (f"evt_{event.hex}", "filtered")
    assert (preview["looked"], preview["matched"]) == (1, 0)
