"""docs/operational-events.md: its bridge to Slack works as it is pasted, and its sample is ours."""

import asyncio
import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path

import pytest

from daemon.core.operational_event_types import OPERATIONAL_TYPES, any_sample_data
from tests.docs.test_api_guide import run
from tests.support.api_client import OPERATOR, serving_api
from tests.support.application import Application
from tests.support.commandline import ROOT, Running, environment
from tests.support.daemons import free_port, until
from tests.support.operational import QUICK, failing_at
from tests.support.receiver import Receiver

GUIDE = (ROOT / "docs/operational-events.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", GUIDE, re.DOTALL)


def test_every_type_is_described_and_the_sample_is_that_of_the_catalogue() -> None:
    [sample] = blocks("json")

    assert json.loads(sample) == any_sample_data("delivery.exhausted")
    assert re.findall(r"^\| `(\w+\.\w+)` \|", GUIDE, re.MULTILINE) == [
        each.name for each in OPERATIONAL_TYPES
    ]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_a_webhook_that_is_failing_is_told_to_slack(
    app: Application, database: str, receiver: Receiver, tmp_path: Path
) -> None:
    create, bridge = blocks("sh")
    program = tmp_path / "webhookd"
    program.write_text(f"#!{sys.executable}\nfrom daemon import cli\ncli.main()\n")
    program.chmod(0o755)
    failing_at(receiver, "/down")
    tenant = await app.tenant()
    await app.webhook(tenant, f"{receiver.url}/down")
    variables = {
        "TOKEN": OPERATOR,
        "TENANT": str(tenant),
        "BRIDGE": f"http://127.0.0.1:{free_port()}",
        "SLACK_URL": f"{receiver.url}/slack",
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
    }
    async with serving_api(database, tenant, delivery=QUICK) as operator:
        variables["API"] = operator.url("").rstrip("/")
        variables["WEBHOOK_SECRET"] = (await run(create, variables))["secretKey"]
        process = await asyncio.create_subprocess_exec(
            *("bash", "-euc", bridge),
            cwd=tmp_path,
            env=environment(variables),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        running = Running(process)
        try:
            await running.line(lambda line: "listening on" in line, err=True)
            await app.events(tenant, 2)
            await until(lambda: len(receiver.at("/slack")) == 3)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            await running.wait()

    error = "a webhook, the receiver answered 503 Service Unavailable (1x)"
    assert sorted(each.event["text"] for each in receiver.at("/slack")) == [
        *([f"delivery.exhausted: {error}"] * 2),
        f"webhook.failing: {error}",
    ]
