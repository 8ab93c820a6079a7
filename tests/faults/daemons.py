"""Daemons that share a database, die, and stand still: no pair is lost, none is doubled unduly."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import psutil

from tests.faults.report import Report
from tests.faults.stage import Pair, Stage, faults_logged, stage
from tests.support import daemons as house

LOCKING = "FOR NO KEY UPDATE"
LEASE_SECONDS = 30.0  # the default timeout and the 25 s beyond it


async def several(database: str, folder: Path, *, events: int, daemons: int = 4) -> Report:
    """Several daemons on one database; events to 200 endpoints, each pair exactly once."""
    report = Report()
    log = folder / "several.log"
    async with stage(database, tenants=100, webhooks=2) as it, AsyncExitStack() as running:
        await asyncio.gather(
            *(
                running.enter_async_context(
                    house.daemon(database, folder, port=house.free_port(), log=log)
                )
                for _ in range(daemons)
            )
        )
        began = time.monotonic()
        await it.publish(events)
        await it.delivered()
        took = time.monotonic() - began
        await it.count(report)
    report.note("no fault of ours in the logs", not faults_logged([log]), faults_logged([log])[:3])
    report.note("pairs a second", True, f"{events * 2 / took:.0f}")
    return report


async def killed(
    database: str,
    folder: Path,
    *,
    events: int = 2500,
    rounds: int = 1,
    concurrency: int = 200,
    wait_for_leases: bool,
) -> Report:
    """
    kill -9 amid deliveries, then a restart: doubled is at most what was in flight.

    Without `wait_for_leases` the dead daemon's leases are made to lapse, else they are waited for.
    """
    report = Report()
    log = folder / "killed.log"
    settings = f"[delivery]\nconcurrency = {concurrency}\n"
    in_flight: set[Pair] = set()
    async with stage(database, tenants=50, webhooks=2, answer_after=0.05) as it:
        port = house.free_port()
        for number in range(rounds):
            async with house.daemon(database, folder, port=port, settings=settings, log=log) as one:
                before = len(it.receiver.received)
                publishing = asyncio.create_task(it.publish(events))
                await house.until(lambda n=before: len(it.receiver.received) - n >= events * 0.8)
                await one.kill()
            await publishing
            await it.forget_daemon()
            unsettled = it.times().keys() - await it.stored() - in_flight
            in_flight |= unsettled
            held = (await it.tally()).leased
            report.note(
                f"in flight at kill {number + 1}",
                0 < len(unsettled) <= concurrency,
                f"{len(unsettled)} requests without a result, {held} leases, of at most"
                f" {concurrency}",
            )
            if not wait_for_leases:
                await it.lapse_leases()
        async with house.daemon(database, folder, port=port, settings=settings, log=log):
            began = time.monotonic()
            await it.delivered(within=LEASE_SECONDS + 60)
            report.note("seconds until all was delivered", True, f"{time.monotonic() - began:.1f}")
            await it.count(report, duplicates=len(in_flight))
        doubled = {pair for pair, times in it.times().items() if times > 1}
        report.note("only what was in flight came twice", doubled <= in_flight, len(doubled))
    report.note("no fault of ours in the logs", not faults_logged([log]), faults_logged([log])[:3])
    return report


async def frozen(
    database: str, folder: Path, *, events: int = 500, wait_for_leases: bool
) -> Report:
    """A daemon stands still past its leases, then goes on: what it brings changes nothing."""
    report = Report()
    log = folder / "frozen.log"
    async with (
        stage(database, tenants=20, webhooks=2, answer_after=0.2) as it,
        house.daemon(database, folder, port=house.free_port(), log=log) as one,
    ):
        publishing = asyncio.create_task(it.publish(events))
        await house.until(lambda: len(it.receiver.received) >= 50 and it.receiver.open_now >= 10)
        await publishing
        await freeze_between_transactions(it, one)
        frozen_at = time.monotonic()
        leased = (await it.tally()).leased
        if not wait_for_leases:
            await it.lapse_leases()
        async with house.daemon(database, folder, port=house.free_port(), log=log) as other:
            await it.delivered(within=LEASE_SECONDS + 60)
            stood = time.monotonic() - frozen_at
            before = await it.tally()
            one.process.send_signal(signal.SIGCONT)

            async def told() -> bool:
                return await one.metric("webhookd_leases_lost_total") > 0

            await house.until(told)
            lost = await one.metric("webhookd_leases_lost_total")
            report.note(
                "the late results were refused", lost > 0, f"{lost:.0f} after {stood:.1f} s"
            )
            report.note("they changed nothing", await it.tally() == before, before)
            await it.publish(20)
            await it.delivered()
            await it.count(report, duplicates=leased)
            report.note("both go on", await one.ready() == await other.ready() == 200)
    report.note("no fault of ours in the logs", not faults_logged([log]), faults_logged([log])[:3])
    return report


async def frozen_amid_settling(
    database: str, folder: Path, *, events: int = 500, patience: float = 15.0
) -> Report:
    """A daemon stands still inside a transaction: its locks must not stop the others for long."""
    report = Report()
    log = folder / "frozen-amid-settling.log"
    async with (
        stage(database, tenants=2, webhooks=2) as it,
        house.daemon(database, folder, port=house.free_port(), log=log) as one,
    ):
        async with it.publishing():
            await freeze_within_settling(it, one)
        leased = (await it.tally()).leased
        await it.lapse_leases()
        async with house.daemon(database, folder, port=house.free_port(), log=log):
            began = time.monotonic()
            await it.publish(events)
            await it.delivered(within=patience)
            took = time.monotonic() - began
            report.note("the other daemon goes on", took < patience, f"{took:.1f} s")
            one.process.send_signal(signal.SIGCONT)
            await it.delivered()
            await it.count(report, duplicates=leased)
    return report


async def freeze_within_settling(it: Stage, one: house.Daemon) -> None:
    """SIGSTOP it at a moment when a transaction that holds endpoints' locks is all it has open."""
    await freeze_when(it, one, lambda open_ones: len(open_ones) == 1 and LOCKING in open_ones[0])


async def freeze_between_transactions(it: Stage, one: house.Daemon) -> None:
    """SIGSTOP it at a moment when it holds no lock, but has requests in flight."""
    await freeze_when(it, one, lambda open_ones: not open_ones and it.receiver.open_now > 0)


async def freeze_when(it: Stage, one: house.Daemon, fits: Callable[[list[str]], bool]) -> None:
    """SIGSTOP it, and again, until its open transactions, by their last statements, fit."""
    async with it.application() as app:

        async def open_ones() -> list[str]:
            rows = await app.db.fetch(
                "SELECT query FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name LIKE 'webhookd%'"
                " AND state <> 'idle'"
            )
            return [row["query"] for row in rows]

        async def caught() -> bool:
            os.kill(one.process.pid, signal.SIGSTOP)
            await house.until(lambda: psutil.Process(one.process.pid).status() == "stopped")
            if fits(await open_ones()):
                await asyncio.sleep(0.05)  # what it had sent already is carried out by now
                if fits(await open_ones()):
                    return True
            os.kill(one.process.pid, signal.SIGCONT)
            return False

        await house.until(caught, every=0.003)
