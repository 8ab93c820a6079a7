"""`webhookd run`: the daemon's process, on a configured or an embedded database."""

import asyncio
import json
import os
import re
import signal
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import pytest

from daemon import embedded
from daemon.store import migrations
from tests.support.application import Application
from tests.support.commandline import ROOT, Running, running, webhookd, with_data_in
from tests.support.daemons import free_port, get_json, until
from tests.support.postgres import FAST_SETTINGS

UNIT = (ROOT / "systemd" / "penguinmails-webhooks.service").read_text().replace("\\\n", " ")


OFF = "off: admin.tokens is empty"


@pytest.mark.parametrize(("tokens", "api"), [('["' + "t" * 20 + '"]', "on"), ("[]", OFF)])
async def test_a_starting_daemon_says_whether_it_serves_api_and_console_and_where(
    tmp_path: Path, database: str, tokens: str, api: str
) -> None:
    env = {
        "DATABASE_URL": database,
        "WEBHOOKD_ADMIN__PORT": "0",
        "WEBHOOKD_ADMIN__TOKENS": tokens,
    }
    async with running("run", folder=tmp_path, env=env) as daemon:
        line = json.loads(await daemon.line(lambda line: "service.started" in line, err=True))
        url = f"http://127.0.0.1:{line['port']}/console"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            text = await answer.text()

    assert line["api"] == api
    assert line.get("console") == (url if api == "on" else None)
    assert answer.status == (200 if api == "on" else 404)
    assert ("the API and the console are off: admin.tokens is empty" in text) == (api == OFF)


@pytest.mark.parametrize(
    "how", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.full)]
)
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


def unit_settings(name: str) -> list[str]:
    """The values of a setting of the systemd unit, in their order."""
    return re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE)


async def readyz(port: int) -> tuple[int, object]:
    """The status of /readyz, and what it says of the database."""
    status, body = await asyncio.to_thread(get_json, f"http://127.0.0.1:{port}/readyz")
    return status, body and body["checks"]["database"]


@pytest.mark.full
async def test_a_standby_is_awaited_until_it_is_promoted_and_check_names_it(
    embedded_data: Path, tmp_path: Path
) -> None:
    server = await embedded.start(embedded_data, settings=FAST_SETTINGS)
    await migrations.migrate(server.url)
    await server.stop()
    cluster = embedded_data / "cluster"
    signal_file = cluster / "standby.signal"
    signal_file.touch()
    os.chown(signal_file, cluster.stat().st_uid, cluster.stat().st_gid)
    standby = await embedded.start(embedded_data, settings=FAST_SETTINGS)
    port = free_port()
    env = {"DATABASE_URL": standby.url, "WEBHOOKD_ADMIN__PORT": str(port)}
    try:
        checked = await webhookd("check", folder=tmp_path, env=env)
        async with running("run", folder=tmp_path, env=env) as daemon:
            await until(lambda: says_read_only(port))
            waiting = list(daemon.err)
            connection = await asyncpg.connect(standby.url)
            await connection.execute("SELECT pg_promote()")
            await connection.close()
            await until(lambda: get_json(f"http://127.0.0.1:{port}/readyz")[0] == 200)
            code = await daemon.stop(signal.SIGTERM)
    finally:
        await standby.stop()

    assert (checked.code, code) == (1, 0)
    assert "the database is a standby, read-only until it is promoted" in checked.out
    assert [json.loads(line)["event"] for line in waiting] == ["database.read_only"]


async def says_read_only(port: int) -> bool:
    """Whether /readyz fails and gives the reason."""
    status, database = await readyz(port)
    return status == 503 and "read-only" in str(database)


def events(daemon: Running, name: str) -> list[dict[str, str]]:
    """The lines of its log with this event."""
    return [json.loads(line) for line in daemon.err if f'"{name}"' in line]


async def test_a_mistake_that_no_restart_corrects_has_the_exit_code_that_the_unit_names(
    tmp_path: Path, database: str
) -> None:
    [final] = unit_settings("RestartPreventExitStatus")
    mistaken = await webhookd("run", folder=tmp_path, env={"WEBHOOKD_DELIVERY__TIMEOUT": "soon"})
    without = await webhookd("run", "--no-embedded", folder=tmp_path)
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1") as taken:
        port = taken.sockets[0].getsockname()[1]
        env = {"DATABASE_URL": database, "WEBHOOKD_ADMIN__PORT": str(port)}
        occupied = await webhookd("run", folder=tmp_path, env=env)

    assert [str(mistaken.code), str(without.code)] == [final, final]
    assert occupied.code == 1  # the other process may end
    assert "cannot listen on 127.0.0.1:" in occupied.err


async def test_a_reload_with_a_mistake_fails_visibly_and_keeps_the_settings(
    tmp_path: Path, database: str
) -> None:
    file = tmp_path / "config.toml"
    file.write_text("[admin]\nport = 0\n")
    check, kill = unit_settings("ExecReload")
    arguments = check.split("/bin/webhookd ")[1].split()
    env = {"DATABASE_URL": database}
    async with running("run", folder=tmp_path, env=env) as daemon:
        await daemon.line(lambda line: "service.started" in line, err=True)
        good = await webhookd(*arguments, folder=tmp_path, env=env)
        file.write_text("[admin]\nport = 0\n[delivery]\ntimeout = 'soon'\n")

        refused = await webhookd(*arguments, folder=tmp_path, env=env)
        daemon.process.send_signal(signal.SIGHUP)  # by hand, past the check
        line = await daemon.line(lambda line: "service.reload_refused" in line, err=True)
        code = await daemon.stop(signal.SIGTERM)

    assert kill == '/bin/sh -c "kill -HUP $MAINPID"'
    assert (good.code, refused.code, code) == (0, 2, 0)
    assert refused.err.startswith("webhookd: config.toml:4: delivery.timeout")
    assert "config.toml:4: delivery.timeout" in json.loads(line)["mistakes"][0]


async def test_a_daemon_that_waits_for_its_database_says_so_on_its_port(tmp_path: Path) -> None:
    port = free_port()
    env = {
        "DATABASE_URL": f"postgresql://me:secret@127.0.0.1:{free_port()}/d",
        "WEBHOOKD_ADMIN__PORT": str(port),
    }
    async with running("run", folder=tmp_path, env=env) as daemon:
        await daemon.line(lambda line: "database.awaited" in line, err=True)
        await until(lambda: get_json(f"http://127.0.0.1:{port}/healthz")[0] == 200)
        ready = await readyz(port)
        code = await daemon.stop(signal.SIGTERM)

    error = "the database cannot be used: connection refused"
    assert ready == (503, {"ok": False, "error": error})
    assert (code, len(events(daemon, "database.awaited"))) == (0, 1)


async def test_a_read_only_database_is_awaited_and_noticed_when_it_becomes_one(
    tmp_path: Path, database: str, app: Application
) -> None:
    name = urlsplit(database).path.removeprefix("/")

    async def make_read_only(value: str) -> None:
        await app.db.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {value}")
        await app.db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    port = free_port()
    env = {"DATABASE_URL": database, "WEBHOOKD_ADMIN__PORT": str(port)}
    await make_read_only("on")
    async with running("run", folder=tmp_path, env=env) as daemon:
        await daemon.line(lambda line: "database.read_only" in line, err=True)
        await until(lambda: get_json(f"http://127.0.0.1:{port}/healthz")[0] == 200)
        at_start = await readyz(port)
        await make_read_only("off")
        await daemon.line(lambda line: "service.started" in line, err=True)
        await until(lambda: get_json(f"http://127.0.0.1:{port}/readyz")[0] == 200)

        await make_read_only("on")
        await until(lambda: says_read_only(port))
        await make_read_only("off")
        await until(lambda: get_json(f"http://127.0.0.1:{port}/readyz")[0] == 200)
        code = await daemon.stop(signal.SIGTERM)

    error = "the database is read-only (default_transaction_read_only)"
    assert at_start == (503, {"ok": False, "error": error})
    assert len(events(daemon, "database.read_only")) >= 2
    assert not events(daemon, "loop.failed")
    assert code == 0
