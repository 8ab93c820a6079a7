"""The daemon serves on the socket that systemd passes: an upgrade refuses no connection."""

import asyncio
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

from daemon.runtime import systemd
from tests.support.commandline import environment
from tests.support.daemons import TIMEOUT_SECONDS, until

# As systemd does between fork and exec.
START = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
os.execv(sys.executable, [sys.executable, "-m", "daemon", "run", "--no-embedded"])
"""


async def start(listening: socket.socket, database: str, folder: Path) -> Process:
    """Start a daemon as systemd would for a connection to this socket."""
    descriptor = listening.fileno()
    # The port that is configured does not count.
    env = environment({"DATABASE_URL": database, "WEBHOOKD_ADMIN__PORT": "1"})
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", START, str(descriptor)),
        cwd=folder,
        env=env,
        pass_fds=[descriptor],
        stderr=PIPE,
    )


async def stop(process: Process) -> tuple[int, str]:
    """End it in good order; returns the exit code and what it wrote."""
    process.send_signal(signal.SIGTERM)
    _, err = await asyncio.wait_for(process.communicate(), TIMEOUT_SECONDS)
    assert process.returncode is not None
    return process.returncode, err.decode()


async def test_an_upgrade_refuses_no_connection(database: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        async def status() -> bytes:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            answer = await asyncio.wait_for(reader.read(), TIMEOUT_SECONDS)
            writer.close()
            return answer.split(b"\r\n")[0]

        async def ready() -> bool:
            return await status() == b"HTTP/1.1 200 OK"

        first = await start(listening, database, tmp_path)
        await until(ready)
        code, errors = await stop(first)
        between = asyncio.create_task(status())  # while no daemon runs
        second = await start(listening, database, tmp_path)
        answered = await between
        await until(ready)
        ended, _ = await stop(second)

    assert (code, ended) == (0, 0), errors
    assert answered.startswith(b"HTTP/1.1 ")
    assert f'"port":{port}' in errors


async def test_a_socket_that_is_not_one_of_tcp_is_refused(database: str, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        listening.listen()
        process = await start(listening, database, tmp_path)
        _, err = await asyncio.wait_for(process.communicate(), TIMEOUT_SECONDS)

    assert process.returncode == 1
    assert "the socket that systemd passed is not one of TCP: ListenStream=" in err.decode()


def test_sockets_that_are_passed_to_another_process_are_left_alone() -> None:
    environ = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDNAMES": "x"}

    assert systemd.passed_sockets(environ=environ) == []
    assert environ == {}
