"""Run the scenario in new Linux namespaces, as root or as an ordinary user."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import asyncpg
import orjson

from tests.namespace import trace
from tests.support.commandline import ROOT, environment

TOOLS = {"unshare": "util-linux", "mount": "mount", "ip": "iproute2", "strace": "strace"}
# Ordinary users do not always have these on their path.
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
# The process namespace ends with its first process, and with it everything that runs inside.
NAMESPACES = ("--net", "--mount", "--pid", "--fork", "--kill-child")
# Everything that the scenario needs permission for.
TRIAL = """
    set -e
    ip link set lo up
    ip address add fd00::1/128 dev lo nodad
    mount --bind /etc/hosts /etc/resolv.conf
    strace -D -f -o /dev/null true
"""
WITHIN_SECONDS = 60
CONFIGURATION = '[delivery]\nretry_schedule = ["100ms", "100ms"]\n[log]\nlevel = "warning"\n'


@dataclass(frozen=True, slots=True)
class Attempt:
    """A row of webhook_deliveries."""

    url: str
    status: str
    status_code: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Observed:
    """What the database, the name server, the receiver and the kernel recorded."""

    attempts: list[Attempt]
    connections: set[tuple[str, int]]  # addresses and ports to which a connection was made
    lookups: set[str]  # the names that the name server was asked for
    requests: list[tuple[str, str]]  # the address and the URL of each request received
    reached_for: set[tuple[str, int]]  # addresses and ports that the daemon asked the kernel for
    log: Path

    def attempts_at(self, url: str) -> list[Attempt]:
        """Return the attempts of the endpoint with this URL."""
        return [attempt for attempt in self.attempts if attempt.url == url]


def missing_requirement() -> str | None:
    """Return why the scenario cannot run on this machine; None if it can."""
    for tool, package in TOOLS.items():
        if shutil.which(tool, path=PATH) is None:
            return f"{tool} is not installed (on Debian: apt-get install {package})"
    trial = run_inside("sh", "-c", TRIAL)
    if trial.returncode:
        output = " ".join(trial.stderr.split()) or f"exit code {trial.returncode}"
        return f"namespaces, or permissions inside them, are missing: {output}"
    return None


def unix_socket_url(database: str) -> str | None:
    """Return the URL of the database over its UNIX socket, which no namespace cuts off, if any."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:  # see run_in_new_loop
        return runner.run(_unix_socket_url(database))


def run(database: str, folder: Path, *, settings: str = "") -> Observed:
    """Run the scenario with these settings added to the defaults."""
    (folder / "config.toml").write_text(CONFIGURATION + settings)
    process = run_inside(
        *(sys.executable, "-m", "tests.namespace.scenario", str(folder)),
        env={"WEBHOOKD_DATABASE__URL": database, "HOME": str(folder)},
    )
    log = folder / "daemon.log"
    logged = log.read_text(errors="replace") if log.exists() else ""
    assert process.returncode == 0, f"{process.stderr}\nThe daemon's log: {logged}"
    result = orjson.loads((folder / "result.json").read_bytes())
    return Observed(
        attempts=[Attempt(*row) for row in result["attempts"]],
        connections={(address, port) for address, port in result["connections"]},
        lookups=set(result["lookups"]),
        requests=[(address, url) for address, url in result["requests"]],
        reached_for=trace.reached_for((folder / "trace").read_text()),
        log=log,
    )


def run_inside(
    *command: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in new namespaces, where loopback is down and there is nothing else."""
    account: Sequence[str] = () if os.geteuid() == 0 else ("--map-root-user",)
    return subprocess.run(
        ["unshare", *NAMESPACES, *account, "--", *command],
        env=environment(env) | {"PATH": PATH},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=WITHIN_SECONDS,
        check=False,
    )


async def _unix_socket_url(database: str) -> str | None:
    connection = await asyncpg.connect(database)
    folders = await connection.fetchval("SHOW unix_socket_directories")
    port = await connection.fetchval("SHOW port")
    await connection.close()
    for folder in folders.split(","):
        if await _accepts_connections(url := _url_at(database, folder.strip(), port)):
            return url
    return None


def _url_at(database: str, folder: str, port: str) -> str:
    parts = urlsplit(database)
    account = parts.netloc.rpartition("@")[0]
    query = urlencode({"host": folder, "port": port}, quote_via=quote, safe="/")
    return f"{parts.scheme}://{account}@{parts.path}?{query}"


async def _accepts_connections(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    await connection.close()
    return True
