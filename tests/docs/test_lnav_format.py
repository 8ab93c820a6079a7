"""The format for lnav knows the fields of a real daemon's log, and lnav reads it."""

import os
import re
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.application import Application
from tests.support.commandline import ROOT
from tests.support.daemons import daemon, free_port, until
from tests.support.deliveries import settled
from tests.support.receiver import Receiver, Reply

FORMAT_FILE = ROOT / "docs" / "webhookd.lnav.json"
GUIDE = ROOT / "docs" / "operations.md"
FORMAT: dict[str, Any] = orjson.loads(FORMAT_FILE.read_bytes())["webhookd_log"]
GENERAL = {FORMAT["timestamp-field"], FORMAT["level-field"]}
# lnav's own names of levels.
LEVELS = {"trace", "debug", "info", "warning", "error", "critical", "fatal"}
KINDS = {"string": str, "integer": int, "float": int | float}


@pytest.fixture
async def log(app: Application, database: str, receiver: Receiver, tmp_path: Path) -> Path:
    """The log of a daemon with a delivery and a failed attempt."""
    receiver.answer = lambda request: Reply(503 if request.path.startswith("/bad") else 200)
    tenant = await app.tenant()
    good = await app.webhook(tenant, receiver.url + "/good?key=1")
    bad = await app.webhook(tenant, receiver.url + "/bad?key=1")
    file = tmp_path / "webhookd.log"
    async with daemon(*(database, tmp_path), port=free_port(), log=file, level="info") as running:
        await app.event(tenant)
        await until(lambda: settled(app, good, "success", 1))
        await until(lambda: settled(app, bad, "failed", 1))
        await running.stop()
    return file


def test_the_format_knows_the_fields_of_a_real_log(log: Path) -> None:
    lines: list[dict[str, Any]] = [orjson.loads(line) for line in log.read_text().splitlines()]
    attempts = [line for line in lines if line["event"] == "delivery.attempted"]
    values = FORMAT["value"]

    assert sorted(line["status"] for line in attempts) == [200, 503]
    for line in lines:
        datetime.fromisoformat(line["timestamp"])
        assert line["level"] in LEVELS
        for field in values.keys() & line.keys():
            assert isinstance(line[field], KINDS[values[field]["kind"]] | None), (field, line)
    assert {field for line in attempts for field in line} - GENERAL <= values.keys()
    shown = {each["field"] for each in FORMAT["line-format"] if isinstance(each, dict)}
    assert shown - {"__timestamp__", "__level__"} <= values.keys()
    assert all("key=1" not in str(line) for line in lines)
    if shutil.which("lnav") is not None:
        assert by_lnav(log).split()[-2:] == ["127.0.0.1", "1"]


def by_lnav(log: Path) -> str:
    """What the guide's command prints, with the format where the guide puts it."""
    formats = log.parent / ".config" / "lnav" / "formats" / "webhookd"
    formats.mkdir(parents=True)
    shutil.copy(FORMAT_FILE, formats)
    [command] = re.findall(r"^ +(lnav -n .*)$", GUIDE.read_text(), re.MULTILINE)
    found = subprocess.run(
        ["sh", "-c", command],
        cwd=log.parent,
        env={"HOME": str(log.parent), "PATH": os.environ["PATH"], "TERM": "xterm"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (found.returncode, found.stderr) == (0, "")
    return found.stdout
