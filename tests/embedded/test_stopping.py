"""How the embedded server ends: when stopped, with its parent, or by itself."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import psutil
import pytest

from daemon import embedded
from daemon.embedded import child_process
from tests.embedded.processes import is_gone, query, running
from tests.support.postgres import FAST_SETTINGS

DAEMON = """
import asyncio, json, sys
from pathlib import Path
from daemon import embedded

async def main():
    server = await embedded.start(Path(sys.argv[1]), settings=json.loads(sys.argv[2]))
    print(server.pid, flush=True)
    await server.wait()

if sys.argv[3] == "uvloop":
    import uvloop
    uvloop.run(main())
else:
    asyncio.run(main())
"""


WAITS_IN = "SELECT wait_event FROM pg_stat_activity WHERE pid = $1"


async def test_stopping_leaves_no_process_and_no_temporary_directory(data: Path) -> None:
    started = await embedded.start(data, settings=FAST_SETTINGS)
    workers = [worker.pid for worker in psutil.Process(started.pid).children()]

    await started.stop()
    await started.stop()

    assert workers
    assert all(is_gone(pid) for pid in [started.pid, *workers])
    assert not started.socket_dir.exists()
    assert not (data / "socket").is_symlink()
    assert "database system is shut down" in started.log.read_text()


async def test_stopping_does_not_wait_for_clients(data: Path) -> None:
    started = await embedded.start(data, settings=FAST_SETTINGS)
    client = await asyncpg.connect(started.url)
    asleep = asyncio.create_task(client.execute("SELECT pg_sleep(3600)"))
    observer = await asyncpg.connect(started.url)
    while await observer.fetchval(WAITS_IN, client.get_server_pid()) != "PgSleep":  # noqa: ASYNC110
        await asyncio.sleep(0.01)

    await asyncio.wait_for(started.stop(), 10)

    with pytest.raises((asyncpg.AdminShutdownError, asyncpg.ConnectionDoesNotExistError)):
        await asleep
    client.terminate()
    observer.terminate()


async def test_a_server_that_ignores_signals_is_killed(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "daemon.embedded.launch.STOP_SIGNALS",
        ((signal.SIGINT, 0.05), (signal.SIGQUIT, 0.05), (signal.SIGKILL, 5)),
    )
    started = await embedded.start(data, settings=FAST_SETTINGS)
    os.kill(started.pid, signal.SIGSTOP)

    await started.stop()

    assert await started.wait() == -signal.SIGKILL


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_the_server_dies_with_a_killed_daemon_and_starts_again_at_once(
    data: Path, loop: str
) -> None:
    arguments = (str(data), '{"fsync": "off"}', loop)
    daemon = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DAEMON, *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert daemon.stdout
    pid = int(await daemon.stdout.readline())
    left_behind = (data / "socket").readlink()
    daemon.kill()
    await daemon.wait()

    async with running(data) as started:
        assert is_gone(pid)
        assert not left_behind.exists()
        assert await query(started.url, "SELECT 1") == 1


def test_the_child_process_exits_if_its_parent_has_already_died() -> None:
    process = subprocess.run(
        [sys.executable, "-I", "-S", child_process.__file__, "1", "0", "0", "/bin/echo", "started"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert process.returncode == 1
    assert process.stdout == ""
    assert "the parent died" in process.stderr


async def test_waiting_returns_when_the_server_has_ended_by_itself(data: Path) -> None:
    started = await embedded.start(data, settings=FAST_SETTINGS)
    waiting = asyncio.create_task(started.wait())

    os.kill(started.pid, signal.SIGQUIT)

    assert await asyncio.wait_for(waiting, 20) == 0
    await started.stop()


async def test_a_terminal_s_interrupt_does_not_reach_the_server(data: Path) -> None:
    async with running(data) as started:
        assert os.getpgid(started.pid) != os.getpgid(0)
        assert os.getsid(started.pid) != os.getsid(0)
