"""Run `webhookd check`."""

import json
from pathlib import Path

from tests.support.commandline import webhookd


async def checked(folder: Path, database: str, **env: str) -> tuple[int, dict[str, list[str]]]:
    """Run the check; return its exit code, and its messages by status."""
    ended = await webhookd("check", "--json", folder=folder, env={"DATABASE_URL": database, **env})
    assert ended.err == ""
    report = json.loads(ended.out)
    assert report["ok"] == (ended.code == 0)
    messages: dict[str, list[str]] = {"ok": [], "warning": [], "error": []}
    for check in report["checks"]:
        messages[check["status"]].append(f"{check['check']}: {check['message']}")
    return ended.code, messages
