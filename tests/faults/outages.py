"""The database goes away, by a kill or by standing still, and comes back: nothing is lost."""

import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psutil

from daemon import embedded
from daemon.store.migrations import migrate
from tests.faults.report import Report
from tests.faults.stage import Stage, faults_logged, stage
from tests.support import daemons
from tests.support.postgres import HASTE

# What PostgreSQL does after a crash is to be true here, so the disk is not cheated.
SAFE = HASTE | {"fsync": "on", "full_page_writes": "on"}
IN_FLIGHT = 512  # at most, by default
# Asked at every moment of an outage, /readyz answers within this.
ANSWER_SECONDS = 1.0


async def killed(folder: Path, *, outages: int, pairs: int = 2000) -> Report:
    """PostgreSQL killed with -9 under load and started again on the same port, several times."""
    report = Report()
    log = folder / "killed-database.log"
    server = await embedded.start(folder / "postgres", settings=SAFE)
    try:
        await migrate(server.url)
        async with (
            stage(server.url, tenants=50, webhooks=2, answer_after=0.02) as it,
            daemons.daemon(server.url, folder, port=daemons.free_port(), log=log) as one,
        ):
            async with it.publishing():
                for number in range(outages):
                    await more_received(it, pairs)
                    os.kill(server.pid, signal.SIGKILL)
                    await server.stop()
                    slowest = await unready(one)
                    server = await embedded.start(
                        folder / "postgres", settings=SAFE, port=server.port
                    )
                    back = time.monotonic()
                    await daemons.until(lambda: is_ready(one), every=0.05)
                    report.note(
                        f"503 in outage {number + 1}, 200 after it",
                        slowest < ANSWER_SECONDS,
                        f"slowest answer {slowest * 1000:.0f} ms, ready again after"
                        f" {time.monotonic() - back:.1f} s",
                    )
                await more_received(it, pairs)
            await conclude(it, one, log, report, outages=outages)
    finally:
        await server.stop()
    return report


async def stopped(folder: Path, *, seconds: float, pairs: int = 2000) -> Report:
    """Every process of PostgreSQL stands still for a while under load."""
    report = Report()
    log = folder / "stopped-database.log"
    async with (
        own_server(folder) as server,
        stage(server.url, tenants=50, webhooks=2, answer_after=0.02) as it,
        daemons.daemon(server.url, folder, port=daemons.free_port(), log=log) as one,
    ):
        async with it.publishing():
            await more_received(it, pairs)
            with standing_still(server.pid):
                began = time.monotonic()
                slowest = await unready(one)
                noticed = time.monotonic() - began
                slowest = max(slowest, await unready(one, until=began + seconds))
            back = time.monotonic()
            await daemons.until(lambda: is_ready(one), every=0.05)
            report.note(
                "503 while it stood still, 200 after it",
                slowest < ANSWER_SECONDS and noticed < 5,
                f"noticed after {noticed:.1f} s, slowest answer {slowest * 1000:.0f} ms,"
                f" ready again after {time.monotonic() - back:.1f} s",
            )
            await more_received(it, pairs)
        await conclude(it, one, log, report, outages=1)
    return report


async def conclude(
    it: Stage, one: daemons.Daemon, log: Path, report: Report, *, outages: int
) -> None:
    began = time.monotonic()
    await it.delivered()
    report.note("seconds until all was delivered", True, f"{time.monotonic() - began:.1f}")
    report.note("the daemon survived", one.process.returncode is None)
    await it.count(report, duplicates=IN_FLIGHT * outages)
    report.note("no fault of ours in the logs", not faults_logged([log]), faults_logged([log])[:3])


async def more_received(it: Stage, pairs: int) -> None:
    """Wait until so many more requests have come in: there is load."""
    before = len(it.receiver.received)
    await daemons.until(lambda: len(it.receiver.received) - before >= pairs, within=60)


async def unready(one: daemons.Daemon, *, until: float | None = None) -> float:
    """Ask /readyz until it says 503, or say 503 `until` a time; the slowest answer in seconds."""
    slowest = 0.0
    while True:
        asked = time.monotonic()
        status = await one.ready()
        slowest = max(slowest, time.monotonic() - asked)
        assert status in ((200, 503) if until is None else (503,)), status
        if (status == 503) if until is None else (time.monotonic() >= until):
            return slowest


async def is_ready(one: daemons.Daemon) -> bool:
    return await one.ready() == 200


@asynccontextmanager
async def own_server(folder: Path) -> AsyncIterator[embedded.EmbeddedPostgres]:
    """A server that may be maltreated, with our schema in it."""
    server = await embedded.start(folder / "postgres", settings=SAFE)
    try:
        await migrate(server.url)
        yield server
    finally:
        await server.stop()


@contextmanager
def standing_still(postmaster: int) -> Iterator[None]:
    """PostgreSQL with all its processes, stopped during the block."""
    os.kill(postmaster, signal.SIGSTOP)  # first, so that it starts no more of them
    pids = [postmaster, *(child.pid for child in psutil.Process(postmaster).children())]
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
