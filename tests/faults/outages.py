"""The database is killed or frozen, and comes back: nothing is lost."""

import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from daemon import embedded
from daemon.store.migrations import migrate
from tests.faults.accounting import check_deliveries
from tests.faults.environment import Environment, environment
from tests.faults.freezing import frozen_server
from tests.faults.report import Report
from tests.support.daemons import Daemon, until
from tests.support.postgres import FAST_SETTINGS

# Crash recovery is under test, so PostgreSQL must write to disk.
DURABLE = FAST_SETTINGS | {"fsync": "on", "full_page_writes": "on"}
MAX_IN_FLIGHT = 1024  # the default
# /readyz answers within this time at every moment of an outage.
MAX_ANSWER_SECONDS = 1.0


async def killed(folder: Path, *, outages: int, pairs: int = 2000) -> Report:
    """PostgreSQL is killed with -9 under load and started again on the same port, repeatedly."""
    report = Report()
    server = await embedded.start(folder / "postgres", settings=DURABLE)
    try:
        await migrate(server.url)
        async with (
            environment(server.url, folder, tenants=50, webhooks=2, answer_after=0.02) as env,
            env.daemon() as daemon,
        ):
            async with env.publishing():
                for number in range(1, outages + 1):
                    await env.wait_for_requests(pairs)
                    os.kill(server.pid, signal.SIGKILL)
                    await server.stop()
                    slowest = await wait_until_unready(daemon)
                    server = await embedded.start(
                        folder / "postgres", settings=DURABLE, port=server.port
                    )
                    recovery = await seconds_until_ready(daemon)
                    report.check(
                        f"503 in outage {number}, 200 after it",
                        slowest < MAX_ANSWER_SECONDS,
                        f"slowest answer {slowest * 1000:.0f} ms, ready again after"
                        f" {recovery:.1f} s",
                    )
                await env.wait_for_requests(pairs)
            await check_recovery(env, daemon, report, outages=outages)
    finally:
        await server.stop()
    return report


async def stopped(folder: Path, *, seconds: float, pairs: int = 2000) -> Report:
    """Every process of PostgreSQL is frozen for a while under load."""
    report = Report()
    async with (
        own_server(folder) as server,
        environment(server.url, folder, tenants=50, webhooks=2, answer_after=0.02) as env,
        env.daemon() as daemon,
    ):
        async with env.publishing():
            await env.wait_for_requests(pairs)
            with frozen_server(server.pid):
                began = time.monotonic()
                slowest = await wait_until_unready(daemon)
                noticed = time.monotonic() - began
                slowest = max(slowest, await stay_unready(daemon, deadline=began + seconds))
            recovery = await seconds_until_ready(daemon)
            report.check(
                "503 while it was frozen, 200 after it",
                slowest < MAX_ANSWER_SECONDS and noticed < 5,
                f"noticed after {noticed:.1f} s, slowest answer {slowest * 1000:.0f} ms,"
                f" ready again after {recovery:.1f} s",
            )
            await env.wait_for_requests(pairs)
        await check_recovery(env, daemon, report, outages=1)
    return report


async def check_recovery(env: Environment, daemon: Daemon, report: Report, *, outages: int) -> None:
    """Wait for all deliveries, and check them and the daemon."""
    began = time.monotonic()
    await env.wait_for_deliveries()
    report.figure("seconds until all was delivered", f"{time.monotonic() - began:.1f}")
    report.check("the daemon survived", daemon.process.returncode is None)
    await check_deliveries(env, report, duplicates=MAX_IN_FLIGHT * outages)
    report.check_log(env.log)


async def wait_until_unready(daemon: Daemon) -> float:
    """Ask /readyz until it answers 503; return the slowest answer, in seconds."""
    slowest = 0.0
    while True:
        status, took = await ask_readiness(daemon)
        slowest = max(slowest, took)
        if status == 503:
            return slowest
        assert status == 200, status


async def stay_unready(daemon: Daemon, *, deadline: float) -> float:
    """Check that /readyz answers 503 until `deadline` (monotonic); return the slowest."""
    slowest = 0.0
    while True:
        status, took = await ask_readiness(daemon)
        slowest = max(slowest, took)
        assert status == 503, status
        if time.monotonic() >= deadline:
            return slowest


async def ask_readiness(daemon: Daemon) -> tuple[int, float]:
    """Return the status of /readyz, and the seconds it took."""
    began = time.monotonic()
    return await daemon.ready(), time.monotonic() - began


async def seconds_until_ready(daemon: Daemon) -> float:
    """Wait until /readyz answers 200."""
    began = time.monotonic()

    async def is_ready() -> bool:
        return await daemon.ready() == 200

    await until(is_ready, every=0.05)
    return time.monotonic() - began


@asynccontextmanager
async def own_server(folder: Path) -> AsyncIterator[embedded.EmbeddedPostgres]:
    """Run a migrated server that a scenario may harm."""
    server = await embedded.start(folder / "postgres", settings=DURABLE)
    try:
        await migrate(server.url)
        yield server
    finally:
        await server.stop()
