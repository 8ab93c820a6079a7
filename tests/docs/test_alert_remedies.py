"""The commands of docs/alerts.md run, and what it names exists."""

import asyncio
import os
import re
import shutil
from pathlib import Path

import pytest

from daemon.service import Service
from tests.support.commandline import ROOT
from tests.support.everything import serving_everything
from tests.support.forked_process import shell_command

GUIDE = (ROOT / "docs/alerts.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
COMMANDS = sorted({line for block in BLOCKS for line in block.splitlines()})
OF_SYSTEMD = ("systemctl ", "journalctl ")
UNIT = "penguinmails-webhooks"
# `webhookd check` also fails for what the test's configuration lacks.
EXPECTED_CODES = {"webhookd check": {0, 1}}


async def run(command: str, service: Service, database: str, folder: Path) -> tuple[int, str]:
    process = await asyncio.create_subprocess_shell(
        command.replace("127.0.0.1:8484", f"127.0.0.1:{service.port}"),
        cwd=folder,
        env=os.environ | {"DATABASE_URL": database, "PATH": f"{folder}:{os.environ['PATH']}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, said.decode()


@pytest.mark.parametrize("program", ["curl", "psql"])
def test_the_programs_of_the_commands_are_known(program: str) -> None:
    assert any(command.startswith(program) for command in COMMANDS)


@pytest.mark.skipif(
    shutil.which("curl") is None or shutil.which("psql") is None, reason="needs curl and psql"
)
async def test_every_command_runs_beside_a_daemon(database: str, tmp_path: Path) -> None:
    program = tmp_path / "webhookd"
    program.write_text(f'#!/bin/sh\nexec {shell_command()} "$@"\n')
    program.chmod(0o755)
    (tmp_path / "config.toml").touch()
    run_here = [each for each in COMMANDS if not each.startswith(OF_SYSTEMD)]
    failed: dict[str, str] = {}
    async with serving_everything(database) as service:
        for command in run_here:
            code, said = await run(command, service, database, tmp_path)
            if code not in EXPECTED_CODES.get(command, {0}) or "Traceback" in said:
                failed[command] = said

    assert failed == {}
    assert len(run_here) > 10


def test_commands_of_systemd_name_the_unit() -> None:
    of_systemd = [each for each in COMMANDS if each.startswith(OF_SYSTEMD)]
    assert of_systemd
    assert all(UNIT in each.split() for each in of_systemd)
    assert (ROOT / "systemd" / f"{UNIT}.service").exists()


def test_events_of_the_log_are_ones_that_the_daemon_writes() -> None:
    code = "".join(path.read_text() for path in (ROOT / "daemon").rglob("*.py"))
    events = set(re.findall(r"\(`([a-z_]+\.[a-z_]+)`\)", GUIDE))
    assert len(events) >= 4
    assert [event for event in sorted(events) if f'"{event}"' not in code] == []
