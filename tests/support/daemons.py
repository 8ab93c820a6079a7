"""Daemons for tests: in the test's process, or as separate processes that can be killed."""

import asyncio
import os
import signal
import sys
import urllib.error
import urllib.request
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Required, TypedDict, Unpack

import orjson

from daemon.config import Config
from daemon.service import Service
from tests.support import forked_process, own_ports
from tests.support.forked_process import ForkedProcess

TIMEOUT_SECONDS = 30.0

# The receivers of the tests listen on loopback; every other setting keeps its default.
OPEN_EGRESS = {
    "allow_http": True,
    "allow_networks": ["127.0.0.0/8"],
    "allow_ports": ["1-65535"],
}


async def until(
    condition: Callable[[], object] | Callable[[], Awaitable[object]],
    *,
    within: float = TIMEOUT_SECONDS,
    every: float = 0.01,
) -> None:
    """
    Wait until a condition, plain or awaitable, is true; an assertion about what happens eventually.

    Raises TimeoutError after `within` seconds, which fails the test.
    """
    async with asyncio.timeout(within):
        while True:
            holds = condition()
            if asyncio.iscoroutine(holds):
                holds = await holds
            if holds:
                return
            await asyncio.sleep(every)


def config(**sections: dict[str, Any]) -> Config:
    """Return the default configuration with loopback allowed, a free port, and `sections`."""
    merged: dict[str, Any] = {"egress": OPEN_EGRESS, "admin": {"port": 0}}
    for name, section in sections.items():
        merged[name] = merged.get(name, {}) | section
    return Config.model_validate(merged)


@asynccontextmanager
async def serving(database: str, /, **sections: dict[str, Any]) -> AsyncIterator[Service]:
    """Run a daemon in this process; it is ready when the block begins, and stopped after it."""
    service = Service(config(**sections), database_url=database)
    ready = asyncio.Event()
    running = asyncio.create_task(service.run(on_ready=ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if running.done():
        await running
    try:
        yield service
    finally:
        service.stop()
        await running


async def metrics_of(service: Service, *, showing: str = "") -> str:
    """
    Return the page at /metrics, once it shows this line.

    A daemon counts what it has stored a moment after others can read it in the database.
    """
    page = ""

    async def is_shown() -> bool:
        nonlocal page
        page = await asyncio.to_thread(_text, f"http://127.0.0.1:{service.port}/metrics")
        return not showing or showing in page.splitlines()

    await until(is_shown)
    return page


class Daemon:
    """`webhookd run` as a separate process."""

    def __init__(self, process: Process | ForkedProcess, port: int) -> None:
        self.process = process
        self.port = port

    async def ready(self) -> int:
        """Return the status of /readyz; 0 if there is no response."""
        return (await self.readyz())[0]

    async def readyz(self) -> tuple[int, Any]:
        """Return the status and the body of /readyz; (0, None) if there is no response."""
        return await asyncio.to_thread(get_json, f"http://127.0.0.1:{self.port}/readyz")

    async def stop(self) -> int:
        """Send SIGTERM; return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.process.wait(), TIMEOUT_SECONDS)

    async def metric(self, name: str) -> float:
        """Return the value of a metric without labels."""
        page = await asyncio.to_thread(_text, f"http://127.0.0.1:{self.port}/metrics")
        [line] = [line for line in page.splitlines() if line.startswith(f"{name} ")]
        return float(line.split()[1])

    async def kill(self) -> None:
        """Send SIGKILL."""
        self.process.kill()
        await self.process.wait()


class StartOptions(TypedDict, total=False):
    """
    How `starting` starts a daemon.

    Its output is appended to `log`; `variables` are added to its environment. `prefix` is a command
    that replaces itself by the daemon; the daemon's code is that in `cwd`.
    """

    settings: str
    port: Required[int]
    log: Path
    level: str
    variables: Mapping[str, str]
    prefix: Sequence[str]
    python: str
    cwd: Path


@asynccontextmanager
async def daemon(
    database: str, folder: Path, **options: Unpack[StartOptions]
) -> AsyncIterator[Daemon]:
    """Start a daemon and wait until it is ready; kill it at the end if it still runs."""
    async with starting(database, folder, **options) as running:

        async def is_ready() -> bool:
            assert running.process.returncode is None, "the daemon ended before it was ready"
            return await running.ready() == 200

        await until(is_ready, every=0.05)
        yield running


@asynccontextmanager
async def starting(
    database: str,
    folder: Path,
    *,
    settings: str = "",
    port: int,
    log: Path | None = None,
    level: str = "warning",
    variables: Mapping[str, str] | None = None,
    prefix: Sequence[str] = (),
    python: str = sys.executable,
    cwd: Path | None = None,
) -> AsyncIterator[Daemon]:
    """
    Start a daemon without waiting for it; its output is appended to `log`.

    `prefix` is a command that replaces itself by the daemon; its code is that in `cwd`.
    """
    file = folder / f"config-{port}.toml"
    file.write_text(
        '[egress]\nallow_http = true\nallow_networks = ["127.0.0.0/8"]\n'
        f'allow_ports = ["1-65535"]\n[admin]\nport = {port}\n[log]\nlevel = "{level}"\n{settings}'
    )
    output = None if log is None else log.open("ab")
    command = ("-m", "daemon", "run", "--no-embedded", "--config", str(file))
    env = os.environ | {"WEBHOOKD_DATABASE__URL": database} | dict(variables or {})
    if prefix or python != sys.executable or cwd is not None:
        process: Process | ForkedProcess = await asyncio.create_subprocess_exec(
            *(*prefix, python, *command), env=env, stdout=output, stderr=output, cwd=cwd
        )
    else:
        written = None if output is None else output.fileno()
        process = await forked_process.start(*command, env=env, stdout=written, stderr=written)
    if output is not None:
        output.close()
    running = Daemon(process, port)
    try:
        yield running
    finally:
        if process.returncode is None:
            await running.kill()


def free_port() -> int:
    """Return a free port that neither the kernel nor another process of tests will take."""
    return own_ports.free_port()


def get_json(url: str) -> tuple[int, Any]:
    """Return the status and the parsed body; (0, None) if there is no response."""
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status, orjson.loads(answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, orjson.loads(error.read())
    except OSError:
        return 0, None


def _text(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        text: str = answer.read().decode()
        return text
