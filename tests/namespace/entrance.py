"""The way into namespaces of our own, for root and for ordinary users, and what comes out."""

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
# The process namespace ends with its first process, and with it all that runs there.
NAMESPACES = ("--net", "--mount", "--pid", "--fork", "--kill-child")
# All that the stage is to do with the rights it hopes to have there.
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
class Found:
    """What the application, the receiver and the kernel saw."""

    attempts: list[Attempt]
    visits: set[tuple[str, int]]  # the addresses and ports to which a connection was made
    requests: list[tuple[str, str]]  # where each came, and for which URL
    reached_for: set[tuple[str, int]]  # what the daemon asked the kernel for
    log: Path

    def of(self, url: str) -> list[Attempt]:
        return [attempt for attempt in self.attempts if attempt.url == url]


def obstacle() -> str | None:
    """Why we cannot go there, if so."""
    for tool, package in TOOLS.items():
        if shutil.which(tool, path=PATH) is None:
            return f"{tool} is not installed (on Debian: apt-get install {package})"
    tried = _inside("sh", "-c", TRIAL)
    if tried.returncode:
        said = " ".join(tried.stderr.split()) or f"exit code {tried.returncode}"
        return f"no namespaces of our own, or not with all that we need there: {said}"
    return None


def over_socket(database: str) -> str | None:
    """The same database over the server's UNIX socket, which no namespace cuts off; None if not."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:  # see run_apart
        return runner.run(_over_socket(database))


def play(database: str, folder: Path, *, settings: str = "") -> Found:
    """Play the scenario inside, with these settings beside the defaults; what was found."""
    (folder / "config.toml").write_text(CONFIGURATION + settings)
    played = _inside(
        *(sys.executable, "-m", "tests.namespace.stage", str(folder)),
        env={"WEBHOOKD_DATABASE__URL": database, "HOME": str(folder)},
    )
    log = folder / "daemon.log"
    told = log.read_text(errors="replace") if log.exists() else ""
    assert played.returncode == 0, f"{played.stderr}\nThe daemon: {told}"
    found = orjson.loads((folder / "found.json").read_bytes())
    return Found(
        attempts=[Attempt(*row) for row in found["attempts"]],
        visits={(address, port) for address, port in found["visits"]},
        requests=[(address, url) for address, url in found["requests"]],
        reached_for=trace.reached_for((folder / "trace").read_text()),
        log=log,
    )


def _inside(*command: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
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


async def _over_socket(database: str) -> str | None:
    connection = await asyncpg.connect(database)
    folders = await connection.fetchval("SHOW unix_socket_directories")
    port = await connection.fetchval("SHOW port")
    await connection.close()
    for folder in folders.split(","):
        if await _answers(url := _url_at(database, folder.strip(), port)):
            return url
    return None


def _url_at(database: str, folder: str, port: str) -> str:
    parts = urlsplit(database)
    account = parts.netloc.rpartition("@")[0]
    query = urlencode({"host": folder, "port": port}, quote_via=quote, safe="/")
    return f"{parts.scheme}://{account}@{parts.path}?{query}"


async def _answers(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url)
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    await connection.close()
    return True
