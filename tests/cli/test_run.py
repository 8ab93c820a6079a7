"""`webhookd run`: the daemon's process, on a configured or an embedded database."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.support.commandline import running, with_data_in


@pytest.mark.parametrize(
    ("tokens", "api"), [('["' + "t" * 20 + '"]', "on"), ("[]", "off: admin.tokens is empty")]
)
async def test_a_starting_daemon_logs_whether_it_serves_the_api(
    tmp_path: Path, database: str, tokens: str, api: str
) -> None:
    env = {
        "DATABASE_URL": database,
        "WEBHOOKD_ADMIN__PORT": "0",
        "WEBHOOKD_ADMIN__TOKENS": tokens,
    }
    async with running("run", folder=tmp_path, env=env) as daemon:
        line = await daemon.line(lambda line: "service.started" in line, err=True)

    assert json.loads(line)["api"] == api


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
async def test_a_daemon_whose_embedded_postgresql_exits_stops_and_says_why(
    embedded_data: Path, tmp_path: Path, how: signal.Signals
) -> None:
    env = {"WEBHOOKD_ADMIN__PORT": "0"}
    async with running(
        "run", folder=tmp_path, env=env, python=with_data_in(embedded_data)
    ) as daemon:
        await daemon.line(lambda line: "service.started" in line, err=True)

        os.kill(int((embedded_data / "cluster" / "postmaster.pid").read_text().split()[0]), how)
        code = await daemon.wait()

    assert code == 1
    assert daemon.err[-1] == "webhookd: the embedded PostgreSQL has exited"
    assert sum("embedded.ended" in line for line in daemon.err) == 1
    assert any("service.stopped" in line for line in daemon.err)


async def test_a_daemon_stopped_together_with_its_embedded_postgresql_exits_with_0(
    embedded_data: Path, tmp_path: Path
) -> None:
    env = {"WEBHOOKD_ADMIN__PORT": "0"}
    async with running(
        "run", folder=tmp_path, env=env, python=with_data_in(embedded_data)
    ) as daemon:
        await daemon.line(lambda line: "service.started" in line, err=True)
        postmaster = int((embedded_data / "cluster" / "postmaster.pid").read_text().split()[0])

        daemon.process.send_signal(signal.SIGTERM)
        os.kill(postmaster, signal.SIGTERM)  # systemd signals every process of a unit
        code = await daemon.wait()

    assert code == 0
    assert not any("embedded.ended" in line for line in daemon.err)
