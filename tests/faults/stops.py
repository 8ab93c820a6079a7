"""The daemon is told to stop: in good order and in time, whatever goes on around it."""

import asyncio
import signal
import time
from pathlib import Path

from tests.faults.outages import own_server, standing_still
from tests.faults.report import Report
from tests.faults.stage import faults_logged, stage
from tests.support import daemons
from tests.support.receiver import Reply

DRAIN_SECONDS = 10.0  # the default
# The bounded waits of a stop, one after the other: 2 s for the loops' last turns, 2 s to give back,
# 5 s for the last results, 2 s to close; and some for a busy machine. The unit allows 20.
BEYOND_DRAIN_SECONDS = 15.0


async def under_load(database: str, folder: Path, *, rounds: int, pairs: int = 1500) -> Report:
    """SIGTERM again and again while events come in: nothing is doubled, nothing left leased."""
    report = Report()
    log = folder / "stops.log"
    async with stage(database, tenants=50, webhooks=2, answer_after=0.05) as it:
        port = daemons.free_port()
        async with it.publishing():
            for number in range(rounds):
                async with daemons.daemon(database, folder, port=port, log=log) as one:
                    before = len(it.receiver.received)
                    await daemons.until(
                        lambda n=before: len(it.receiver.received) - n >= pairs, within=60
                    )
                    code, took = await stop(one)
                leased = (await it.tally()).leased
                report.note(
                    f"stop {number + 1} is in order",
                    code == 0 and took < DRAIN_SECONDS and leased == 0,
                    f"exit code {code} after {took:.2f} s, {leased} leases left",
                )
        async with daemons.daemon(database, folder, port=port, log=log):
            await it.delivered()
            await it.count(report)
    report.note("no fault of ours in the logs", not faults_logged([log]), faults_logged([log])[:3])
    return report


async def held_by_the_receiver(database: str, folder: Path, *, events: int = 100) -> Report:
    """The receiver holds requests for longer than the drain: they are given back unspent."""
    report = Report()
    log = folder / "held.log"
    settings = '[delivery]\ndrain = "1s"\n'
    async with stage(database, tenants=10, webhooks=2) as it:
        it.receiver.answer = lambda _: Reply(after=4.5)
        port = daemons.free_port()
        async with daemons.daemon(database, folder, port=port, settings=settings, log=log) as one:
            await it.publish(events)
            await daemons.until(lambda: it.receiver.open_now >= 20)
            code, took = await stop(one)
        interrupted = set(it.times())
        left = await it.tally()
        report.note(
            "it exits soon after the drain",
            code == 0 and 0.9 < took < 4,
            f"exit code {code} after {took:.2f} s of 1 s drain",
        )
        report.note("what was interrupted is given back", left.leased == left.failed == 0, left)
        it.receiver.answer = lambda _: Reply()
        async with daemons.daemon(database, folder, port=port, log=log):
            began = time.monotonic()
            await it.delivered()
            took = time.monotonic() - began
            report.note("the next daemon delivers it right away", took < 5, f"{took:.1f} s")
            await it.count(report, duplicates=len(interrupted))
    report.note("no fault of ours in the logs", not faults_logged([log]), faults_logged([log])[:3])
    return report


async def twice(database: str, folder: Path) -> Report:
    """A second SIGTERM does not wait for the drain."""
    report = Report()
    async with stage(database, tenants=5, webhooks=2) as it:
        it.receiver.answer = lambda _: Reply(after=4.5)
        async with daemons.daemon(database, folder, port=daemons.free_port()) as one:
            await it.publish(20, at_once=1)
            await daemons.until(lambda: it.receiver.open_now >= 10)
            one.process.send_signal(signal.SIGTERM)
            await daemons.until(lambda: stopping(one))
            code, took = await stop(one)
        report.note("it exits at once", code == 1 and took < 1, f"exit code {code}, {took:.2f} s")
    return report


async def without_database(folder: Path, *, drain_seconds: int = 2) -> Report:
    """SIGTERM while PostgreSQL stands still: the daemon leaves all the same."""
    report = Report()
    log = folder / "stop-without-database.log"
    settings = f'[delivery]\ndrain = "{drain_seconds}s"\n'
    async with (
        own_server(folder) as server,
        stage(server.url, tenants=50, webhooks=2, answer_after=0.05) as it,
    ):
        port = daemons.free_port()
        async with (
            it.publishing(),
            daemons.daemon(server.url, folder, port=port, settings=settings, log=log) as one,
        ):
            await daemons.until(lambda: len(it.receiver.received) >= 1000)
            with standing_still(server.pid):
                code, took = await stop(one, within=90)
        report.note(
            "it exits in time",
            code == 0 and took < drain_seconds + BEYOND_DRAIN_SECONDS,
            f"exit code {code} after {took:.1f} s of {drain_seconds} s drain",
        )
        await it.forget_daemon()
        unsettled = it.times().keys() - await it.stored()
        await it.lapse_leases()
        async with daemons.daemon(server.url, folder, port=port, log=log):
            await it.delivered()
            await it.count(report, duplicates=len(unsettled))
    report.note("no fault of ours in the logs", not faults_logged([log]), faults_logged([log])[:3])
    return report


async def stop(one: daemons.Daemon, *, within: float = 60.0) -> tuple[int, float]:
    """SIGTERM; the exit code, and the seconds it took."""
    began = time.monotonic()
    one.process.send_signal(signal.SIGTERM)
    code = await asyncio.wait_for(one.process.wait(), within)
    return code, time.monotonic() - began


async def stopping(one: daemons.Daemon) -> bool:
    _, answer = await one.readyz()
    return bool(answer and answer["checks"]["stopping"])
