"""Shutdown: the daemon stops in order and in time, under load and without its database."""

import asyncio
import signal
import time
from pathlib import Path

from tests.faults.accounting import check_deliveries, row_counts, stored_pairs
from tests.faults.environment import environment
from tests.faults.freezing import frozen_server
from tests.faults.outages import own_server
from tests.faults.report import Report
from tests.support.daemons import Daemon, free_port, until
from tests.support.receiver import Reply

DRAIN_SECONDS = 10.0  # the default
# The bounded waits of a stop, in order: 2 s for the loops' last turns, 2 s to release leases, 5 s
# for the last results, 2 s to close; the rest is for a busy machine. The unit allows 20 s.
BEYOND_DRAIN_SECONDS = 15.0


async def under_load(database: str, folder: Path, *, rounds: int, pairs: int = 1500) -> Report:
    """SIGTERM again and again while events come in: nothing is repeated, no lease is left."""
    report = Report()
    port = free_port()
    async with environment(database, folder, tenants=50, webhooks=2, answer_after=0.05) as env:
        async with env.publishing():
            for number in range(1, rounds + 1):
                async with env.daemon(port=port) as daemon:
                    await env.wait_for_requests(pairs)
                    code, took = await stop(daemon)
                leased = (await row_counts(env)).leased
                report.check(
                    f"stop {number} is in order",
                    code == 0 and took < DRAIN_SECONDS and leased == 0,
                    f"exit code {code} after {took:.2f} s, {leased} leases left",
                )
        async with env.daemon(port=port):
            await env.wait_for_deliveries()
            await check_deliveries(env, report)
    report.check_log(env.log)
    return report


async def held_by_the_receiver(database: str, folder: Path, *, events: int = 100) -> Report:
    """The receiver holds requests for longer than the drain: they are released unspent."""
    report = Report()
    port = free_port()
    async with environment(database, folder, tenants=10, webhooks=2) as env:
        env.receiver.answer = lambda _: Reply(after=4.5)
        async with env.daemon(port=port, settings='[delivery]\ndrain = "1s"\n') as daemon:
            await env.publish(events)
            await until(lambda: env.receiver.open_now >= 20)
            code, took = await stop(daemon)
        interrupted = len(env.requests_per_pair())
        left = await row_counts(env)
        report.check(
            "it exits soon after the drain",
            code == 0 and 0.9 < took < 4,
            f"exit code {code} after {took:.2f} s of 1 s drain",
        )
        report.check("interrupted attempts are released", left.leased == left.failed == 0, left)
        env.receiver.answer = lambda _: Reply()
        async with env.daemon(port=port):
            began = time.monotonic()
            await env.wait_for_deliveries()
            took = time.monotonic() - began
            report.check("the next daemon delivers them right away", took < 5, f"{took:.1f} s")
            await check_deliveries(env, report, duplicates=interrupted)
    report.check_log(env.log)
    return report


async def twice(database: str, folder: Path) -> Report:
    """A second SIGTERM does not wait for the drain."""
    report = Report()
    async with environment(database, folder, tenants=5, webhooks=2) as env:
        env.receiver.answer = lambda _: Reply(after=4.5)
        async with env.daemon() as daemon:
            await env.publish(20, batch=1)
            await until(lambda: env.receiver.open_now >= 10)
            daemon.process.send_signal(signal.SIGTERM)
            await until(lambda: is_stopping(daemon))
            code, took = await stop(daemon)
        report.check("it exits at once", code == 1 and took < 1, f"exit code {code}, {took:.2f} s")
    return report


async def without_database(folder: Path, *, drain_seconds: int = 2) -> Report:
    """SIGTERM while PostgreSQL is frozen: the daemon exits all the same."""
    report = Report()
    port = free_port()
    settings = f'[delivery]\ndrain = "{drain_seconds}s"\n'
    async with (
        own_server(folder) as server,
        environment(server.url, folder, tenants=50, webhooks=2, answer_after=0.05) as env,
    ):
        async with env.publishing(), env.daemon(port=port, settings=settings) as daemon:
            await env.wait_for_requests(1000)
            with frozen_server(server.pid):
                code, took = await stop(daemon, within=90)
        report.check(
            "it exits in time",
            code == 0 and took < drain_seconds + BEYOND_DRAIN_SECONDS,
            f"exit code {code} after {took:.1f} s of {drain_seconds} s drain",
        )
        await env.wait_for_disconnection()
        interrupted = env.requests_per_pair().keys() - await stored_pairs(env)
        await env.expire_leases()
        async with env.daemon(port=port):
            await env.wait_for_deliveries()
            await check_deliveries(env, report, duplicates=len(interrupted))
    report.check_log(env.log)
    return report


async def stop(daemon: Daemon, *, within: float = 60.0) -> tuple[int, float]:
    """Send SIGTERM; return the exit code, and the seconds until the exit."""
    began = time.monotonic()
    daemon.process.send_signal(signal.SIGTERM)
    code = await asyncio.wait_for(daemon.process.wait(), within)
    return code, time.monotonic() - began


async def is_stopping(daemon: Daemon) -> bool:
    """Whether /readyz says that the daemon is stopping."""
    _, answer = await daemon.readyz()
    return bool(answer and answer["checks"]["stopping"])
