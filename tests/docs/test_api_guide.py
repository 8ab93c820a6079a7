"""The commands of docs/api.md, run in their order."""

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
from tests.support.daemons import until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver

GUIDE = Path(__file__).parents[2] / "docs/api.md"


def commands() -> list[str]:
    return re.findall(r"```sh\n(.*?)```", GUIDE.read_text(), re.DOTALL)


async def run(command: str, variables: dict[str, str]) -> Any:
    process = await asyncio.create_subprocess_shell(
        command,
        env=variables | {"PATH": "/usr/local/bin:/usr/bin:/bin"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, err) == (0, b""), command
    return orjson.loads(out) if out else None


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_commands_of_the_api_guide_work(
    app: Application, database: str, receiver: Receiver
) -> None:
    tenant = await app.tenant()
    steps = iter(commands())
    async with serving_api(database, tenant) as operator:
        variables = {
            "API": operator.url("").rstrip("/"),
            "TOKEN": OPERATOR,
            "TENANT": str(tenant),
            "RECEIVER": receiver.url,
        }

        async def step() -> Any:
            answer = await run(next(steps), variables)
            assert answer is None or "error" not in answer, answer
            return answer

        variables["WEBHOOK"] = (await step())["id"]
        variables["TENANT_TOKEN"] = (await step())["token"]
        assert (await step())["success"] is True
        assert (await step())["customHeaders"] == {"Authorization": "[hidden]"}
        variables["EVENT"] = str(await app.event(tenant, {"n": 1}))
        await until(lambda: settled(app, UUID(variables["WEBHOOK"]), "success", 1))
        variables["DELIVERY"] = (await step())["deliveries"][0]["id"]
        assert [each["id"] for each in (await step())["deliveries"]] == [variables["DELIVERY"]]
        assert (await step())["successRate"] == 1
        assert (await step())["request"]["curl"].startswith("curl --globoff -X POST")
        retried = await step()
        assert UUID(retried["id"])  # type: ignore[truthy-bool]
        [retry] = [each for each in commands() if "Idempotency-Key" in each]
        assert await run(retry, variables) == retried
        assert (await step())["count"] == 0
        assert (await step())["total"] == 1
        variables["REPLAY"] = (await step())["id"]
        assert (await step())["total"] == 1
        assert (await step())["status"] in {"cancelled", "completed"}
        assert [each["id"] for each in (await step())["events"]] == [variables["EVENT"]]
        assert (await step())["deliveries"] != []
        assert (await step())["secretKey"].startswith("whsec_")
        assert (await step())["isActive"] is False
        assert (await step())["isActive"] is True
        assert await step() is None

    assert list(steps) == []
    assert {request.headers.get("authorization") for request in receiver.received} == {
        None,
        "Bearer the-receiver-s-own",
    }
