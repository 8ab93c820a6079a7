"""Run one attack: start what it needs, and turn what was measured into a result."""

import asyncio
import os
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from daemon.cli.support.process import raise_open_file_limit
from tests.faults.attacks.catalogue import Attack
from tests.faults.attacks.endpoints import ADDRESSES, running_endpoints
from tests.faults.attacks.healthy import HealthyTenants
from tests.faults.attacks.scene import Scene
from tests.faults.attacks.table import Latency, Result
from tests.faults.report import errors_logged
from tests.support.api_client import OPERATOR
from tests.support.application import Application
from tests.support.daemons import Daemon, daemon, free_port
from tests.support.nameserver import name_server
from tests.support.receiver import receiving

ALONE_SECONDS = 4.0
ATTACK_SECONDS = 10.0
LONGEST_SECONDS = 120.0
BIND_AND_RUN = 'mount --bind "$0" "$(readlink -f /etc/resolv.conf)" && exec "$@"'


async def run_attack(
    name: str,
    attack: Attack,
    database: str,
    folder: Path,
    *,
    alone_seconds: float = ALONE_SECONDS,
    attack_seconds: float = ATTACK_SECONDS,
) -> Result:
    """Run an attack on a migrated database; it ends after `LONGEST_SECONDS` at the latest."""
    raise_open_file_limit()
    if attack.by_name and (reason := missing_namespaces(folder)):
        nothing = Latency.of([])
        return Result(name, attack.description, nothing, nothing, 0.0, skipped=reason)
    log = folder / "daemon.log"
    async with setting(
        attack, database, folder, log, alone_seconds=alone_seconds, attack_seconds=attack_seconds
    ) as scene:
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                await attack.run(scene)
                if progress := await scene.progress():
                    scene.notes.append(f"at the end {progress}")
        except TimeoutError:
            scene.broken.append("it did not end in time")
        if scene.daemon.process.returncode is not None:
            scene.broken.append("the daemon died")
        requests, most_open = await asyncio.to_thread(scene.endpoints.counts)
        if requests:
            scene.notes.append(f"{requests:,} requests to the attacker, {most_open} at once")
        if errors := errors_logged(log):
            scene.broken.append(f"{len(errors)} errors in the log")
            scene.notes.append(f"in the log: {errors[-1]}")
        return Result(
            name,
            attack.description,
            Latency.of(scene.alone),
            Latency.of(scene.attacked),
            scene.daemon_peak_mb(),
            max_p95_ms=attack.max_p95_ms,
            broken=tuple(scene.broken),
            notes=tuple(scene.notes),
        )


@asynccontextmanager
async def setting(
    attack: Attack,
    database: str,
    folder: Path,
    log: Path,
    *,
    alone_seconds: float,
    attack_seconds: float,
) -> AsyncIterator[Scene]:
    """Start the endpoints and the daemon, and add the healthy tenants."""
    async with AsyncExitStack() as stack:
        endpoints = stack.enter_context(running_endpoints())
        receiver = await stack.enter_async_context(receiving())
        attackers, others = [await stack.enter_async_context(application(database)) for _ in "ab"]
        healthy = HealthyTenants(others, receiver, reply_seconds=attack.reply_seconds)
        if attack.by_name:
            url, prefix = await stack.enter_async_context(named(receiver.url, folder))
        else:
            url, prefix = receiver.url, ()
        await healthy.add_webhooks(lambda path: f"{url}{path}")
        running: Daemon = await stack.enter_async_context(
            daemon(
                *(database, folder),
                port=free_port(),
                log=log,
                variables={"WEBHOOKD_ADMIN__TOKENS": OPERATOR},
                prefix=prefix,
            )
        )
        yield Scene(
            attackers,
            healthy,
            endpoints,
            running,
            alone_seconds=alone_seconds,
            attack_seconds=attack_seconds,
        )


@asynccontextmanager
async def application(database: str) -> AsyncIterator[Application]:
    """An application, on a separate connection."""
    connection = await asyncpg.connect(database)
    try:
        yield Application(connection)
    finally:
        connection.terminate()


@asynccontextmanager
async def named(url: str, folder: Path) -> AsyncIterator[tuple[str, tuple[str, ...]]]:
    """
    Give the receiver at `url` a name.

    Names that begin with `dead` get no reply; those that begin with `fading` get one once, which is
    an address of the attackers' endpoints.

    Yields the URL with the name, and the command that starts the daemon with this name server.
    """
    async with name_server() as server:
        queries: Counter[str] = Counter()  # of fading names: one for each kind of address

        def answer(name: str) -> list[str] | None:
            if name.startswith("dead"):
                return None
            if not name.startswith("fading"):
                return ["127.0.0.1"]
            queries[name] += 1
            return [ADDRESSES[queries.total() % len(ADDRESSES)]] if queries[name] <= 2 else None

        server.answer = answer
        resolv_conf = folder / "resolv.conf"
        resolv_conf.write_text(f"nameserver {server.address}\n")
        port = urlsplit(url).port
        yield f"http://healthy.hooks.example:{port}", with_resolver(resolv_conf)


def with_resolver(resolv_conf: Path) -> tuple[str, ...]:
    """Return the command before a command that runs it with this resolv.conf, as the same pid."""
    account = () if os.geteuid() == 0 else ("--map-root-user",)
    return "unshare", "--mount", *account, "--", "sh", "-c", BIND_AND_RUN, str(resolv_conf)


def missing_namespaces(folder: Path) -> str | None:
    """Return why a command cannot have a resolv.conf of its own on this machine, if so."""
    trial = folder / "trial.conf"
    trial.write_text("")
    try:
        done = subprocess.run(
            [*with_resolver(trial), "true"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return "unshare is not installed (on Debian: apt-get install util-linux)"
    return " ".join(done.stderr.split()) if done.returncode else None
