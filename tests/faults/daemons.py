"""Daemons that share a database, die and freeze: no delivery is lost, few are repeated."""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

from tests.faults.accounting import check_deliveries, row_counts, stored_pairs
from tests.faults.environment import Environment, Pair, environment
from tests.faults.freezing import (
    freeze_between_transactions,
    freeze_in_transaction,
    resume,
)
from tests.faults.report import Report
from tests.support.daemons import Daemon, free_port, until

LEASE_SECONDS = 30.0  # the default timeout and 25 s beyond it


async def several(database: str, folder: Path, *, events: int, daemons: int = 4) -> Report:
    """Several daemons on one database; events to 200 endpoints, each pair exactly once."""
    report = Report()
    async with (
        environment(database, folder, tenants=100, webhooks=2) as env,
        AsyncExitStack() as running,
    ):
        await asyncio.gather(*(running.enter_async_context(env.daemon()) for _ in range(daemons)))
        began = time.monotonic()
        await env.publish(events)
        await env.wait_for_deliveries()
        took = time.monotonic() - began
        await check_deliveries(env, report)
    report.check_log(env.log)
    report.figure("pairs a second", f"{events * 2 / took:.0f}")
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
    kill -9 amid deliveries, then a restart: at most the requests in flight are repeated.

    Without `wait_for_leases` the dead daemon's leases are expired at once.
    """
    report = Report()
    settings = f"[delivery]\nconcurrency = {concurrency}\n"
    interrupted: set[Pair] = set()
    port = free_port()
    async with environment(database, folder, tenants=50, webhooks=2, answer_after=0.05) as env:
        for number in range(1, rounds + 1):
            async with env.daemon(port=port, settings=settings) as daemon:
                await kill_under_load(env, daemon, events)
            lost = env.requests_per_pair().keys() - await stored_pairs(env) - interrupted
            interrupted |= lost
            report.check(
                f"in flight at kill {number}",
                0 < len(lost) <= concurrency,
                f"{len(lost)} requests without a result, {(await row_counts(env)).leased} leases,"
                f" of at most {concurrency}",
            )
            if not wait_for_leases:
                await env.expire_leases()
        async with env.daemon(port=port, settings=settings):
            began = time.monotonic()
            await env.wait_for_deliveries(within=LEASE_SECONDS + 60)
            report.figure("seconds until all was delivered", f"{time.monotonic() - began:.1f}")
            await check_deliveries(env, report, duplicates=len(interrupted))
    repeated = {pair for pair, count in env.requests_per_pair().items() if count > 1}
    report.check("only requests in flight were repeated", repeated <= interrupted, len(repeated))
    report.check_log(env.log)
    return report


async def kill_under_load(env: Environment, daemon: Daemon, events: int) -> None:
    """Publish, and kill the daemon while it delivers."""
    publishing = asyncio.create_task(env.publish(events))
    await env.wait_for_requests(int(events * 0.8))
    await daemon.kill()
    await publishing
    await env.wait_for_disconnection()


async def frozen(
    database: str, folder: Path, *, events: int = 500, wait_for_leases: bool
) -> Report:
    """A daemon is frozen until its leases expire, then goes on: late results change nothing."""
    report = Report()
    async with (
        environment(database, folder, tenants=20, webhooks=2, answer_after=0.2) as env,
        env.daemon() as daemon,
    ):
        await freeze_under_load(env, daemon, events)
        frozen_at = time.monotonic()
        leased = (await row_counts(env)).leased
        if not wait_for_leases:
            await env.expire_leases()
        async with env.daemon() as other:
            await env.wait_for_deliveries(within=LEASE_SECONDS + 60)
            frozen_seconds = time.monotonic() - frozen_at
            before = await row_counts(env)
            resume(daemon)
            lost = await leases_lost(daemon)
            report.check(
                "the late results were refused",
                lost > 0,
                f"{lost:.0f} after {frozen_seconds:.1f} s",
            )
            report.check("they changed nothing", await row_counts(env) == before, before)
            await env.publish(20)
            await env.wait_for_deliveries()
            await check_deliveries(env, report, duplicates=leased)
            report.check("both go on", await daemon.ready() == await other.ready() == 200)
    report.check_log(env.log)
    return report


async def freeze_under_load(env: Environment, daemon: Daemon, events: int) -> None:
    """Publish, and freeze the daemon while it delivers but holds no lock."""
    publishing = asyncio.create_task(env.publish(events))
    receiver = env.receiver
    await until(lambda: len(receiver.received) >= 50 and receiver.open_now >= 10)
    await publishing
    await freeze_between_transactions(env, daemon)


async def leases_lost(daemon: Daemon) -> float:
    """Wait until the daemon counts lost leases, and return how many."""

    async def any_lost() -> bool:
        return await daemon.metric("webhookd_leases_lost_total") > 0

    await until(any_lost)
    return await daemon.metric("webhookd_leases_lost_total")


async def frozen_in_transaction(
    database: str, folder: Path, *, events: int = 500, within: float = 15.0
) -> Report:
    """A daemon is frozen inside a transaction: its locks must not stop the others for long."""
    report = Report()
    async with (
        environment(database, folder, tenants=2, webhooks=2) as env,
        env.daemon() as daemon,
    ):
        async with env.publishing():
            await freeze_in_transaction(env, daemon)
        leased = (await row_counts(env)).leased
        await env.expire_leases()
        async with env.daemon():
            began = time.monotonic()
            await env.publish(events)
            await env.wait_for_deliveries(within=within)
            took = time.monotonic() - began
            report.check("the other daemon goes on", took < within, f"{took:.1f} s")
            resume(daemon)
            await env.wait_for_deliveries()
            await check_deliveries(env, report, duplicates=leased)
    return report
