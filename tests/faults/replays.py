"""Replays: new events do not wait for them, and a killed daemon skips nothing."""

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from daemon.core.model.ids import ReplayId
from daemon.core.model.replays import ReplayStatus
from tests.faults.accounting import row_counts, stored_pairs
from tests.faults.daemons import LEASE_SECONDS
from tests.faults.environment import Environment, environment
from tests.faults.live_events import Arrivals, Delays, LiveEvents, quantile, summarized
from tests.faults.report import Report
from tests.support.application import Application
from tests.support.daemons import free_port, until
from tests.support.replays import (
    cancel,
    get_replay,
    public_ids,
    request_for,
    start,
    store_events,
    until_ended,
)

MAX_ADDED_DELAY_MS = 100.0
WARM_UP_EVENTS = 50
# Every request that a cancelled replay still causes arrives within this time.
AFTER_CANCEL_SECONDS = 2.0
EVENT_SPACING = timedelta(milliseconds=10)


async def beside_live(
    database: str,
    folder: Path,
    *,
    events: int,
    answer_after: float = 0.0,
    samples: int = 500,
    limit_ms: float | None = MAX_ADDED_DELAY_MS,
) -> Report:
    """
    Replay `events` events, and publish single new events at the same time.

    Their delays are compared with those before the replay; with `limit_ms` None they are reported
    only.
    """
    report = Report()
    async with (
        environment(database, folder, tenants=10, webhooks=1) as env,
        env.application() as app,
        env.daemon() as daemon,
    ):
        with no_garbage_collection():
            arrivals = Arrivals(env, answer_after=answer_after)
            tenant = await app.tenant()
            webhook = await app.webhook(tenant, f"{env.receiver.url}/replayed")
            stored = public_ids(await store_events(app, tenant, events, apart=EVENT_SPACING))
            live = LiveEvents(env, arrivals, tenant)
            await live.delays_alone_ms(WARM_UP_EVENTS)  # connections, plans, windows
            alone = await live.delays_alone_ms(samples)
            replay = await start(app, request_for(webhook))
            took, beside = await replay_beside(app, replay.id, live)
            report.figure("events a second", f"{events / took:.0f}, {took:.1f} s in all")
            check_delays(report, alone, beside, limit_ms=limit_ms)
            known = events + len(alone[0]) + WARM_UP_EVENTS
            report.check("total", replay.total == known, f"{replay.total} of {known}")
            missing, repeated = arrivals.missing(stored), len(arrivals.repeated() & set(stored))
            report.check(
                "all events were sent, and once",
                not missing and not repeated,
                f"{missing} missing, {repeated} repeated",
            )
            report.check("the daemon is ready", await daemon.ready() == 200)
    report.check_log(env.log)
    return report


async def replay_beside(
    app: Application, replay: ReplayId, live: LiveEvents
) -> tuple[float, tuple[Delays, Delays]]:
    """Publish until the replay has ended; return its seconds, and the delays beside it."""
    ended = asyncio.Event()
    began = time.monotonic()
    publishing = asyncio.create_task(live.delays_ms(until_set=ended, most=100_000))
    while (await get_replay(app, replay)).status is ReplayStatus.RUNNING:
        await asyncio.sleep(0.25)
    took = time.monotonic() - began
    ended.set()
    return took, await publishing


def check_delays(
    report: Report,
    alone: tuple[Delays, Delays],
    beside: tuple[Delays, Delays],
    *,
    limit_ms: float | None,
) -> None:
    """Compare the 95th percentile beside the replay with the median before it."""
    for name, before, during in zip(("the same", "others"), alone, beside, strict=True):
        added = quantile(during, 0.95) - quantile(before, 0.5)
        report.check(
            f"new events for {name} come at most {MAX_ADDED_DELAY_MS:.0f} ms later, 19 of 20",
            limit_ms is None or added <= limit_ms,
            f"without {summarized(before)}; beside {summarized(during)}",
        )


async def killed(
    database: str, folder: Path, *, events: int, rounds: int = 1, wait_for_leases: bool
) -> Report:
    """
    kill -9 in the middle of a replay, then a restart; only requests in flight are repeated.

    Without `wait_for_leases` the dead daemon's leases are expired at once.
    """
    report = Report()
    port = free_port()
    interrupted: set[str] = set()
    async with (
        environment(database, folder, tenants=1, webhooks=1) as env,
        env.application() as app,
    ):
        arrivals = Arrivals(env, answer_after=0.005)
        webhook = await app.db.fetchval("SELECT id FROM webhooks")
        stored = public_ids(await store_events(app, env.tenants[0], events, apart=EVENT_SPACING))
        replay = await start(app, request_for(webhook))
        for number in range(1, rounds + 1):
            await kill_at(env, arrivals, events * number // (rounds + 1), port)
            lost = arrivals.first.keys() - {event for _, event in await stored_pairs(env)}
            interrupted |= lost
            now = await get_replay(app, replay.id)
            report.check(
                f"killed in the middle, {number}",
                now.status is ReplayStatus.RUNNING,
                f"{now.sent} of {now.total} sent, {len(lost)} without a result",
            )
            if not wait_for_leases:
                await env.expire_leases()
        async with env.daemon(port=port):
            ended = await until_ended(app, replay.id, within=300 + LEASE_SECONDS)
        missing, repeated = arrivals.missing(stored), arrivals.repeated()
        report.check("nothing skipped", not missing, f"{len(stored)}, {missing} missing")
        report.check(
            "only requests in flight were repeated", repeated <= interrupted, len(repeated)
        )
        counts = await row_counts(env)
        report.check("every event sent once", counts.success == events == ended.sent, counts)
        await check_nothing_left(env, report)
    report.check_log(env.log)
    return report


async def kill_at(env: Environment, arrivals: Arrivals, count: int, port: int) -> None:
    """Run a daemon, and kill it when `count` events have arrived."""
    async with env.daemon(port=port) as daemon:
        await until(lambda: len(arrivals.first) >= count, within=300)
        await daemon.kill()
    await env.wait_for_disconnection()


async def check_nothing_left(env: Environment, report: Report) -> None:
    """Check that no attempt is pending, leased or failed."""
    counts = await row_counts(env)
    left = counts.pending + counts.leased + counts.failed
    report.check("nothing left", left == 0, counts)


async def cancelled(database: str, folder: Path, *, events: int, rounds: int = 1) -> Report:
    """A replay is cancelled in its middle, and stops within a second."""
    report = Report()
    async with (
        environment(database, folder, tenants=1, webhooks=1) as env,
        env.application() as app,
        env.daemon(),
    ):
        webhook = await app.db.fetchval("SELECT id FROM webhooks")
        await store_events(app, env.tenants[0], events, apart=EVENT_SPACING)
        for number in range(1, rounds + 1):
            arrivals = Arrivals(env, answer_after=0.005)
            replay = await start(app, request_for(webhook))
            await until(lambda seen=arrivals: len(seen.first) >= events // 2, within=300)
            requested = time.monotonic()
            left = await cancel(app, replay.id)
            took_ms = (time.monotonic() - requested) * 1000
            await asyncio.sleep(AFTER_CANCEL_SECONDS)
            after = [at - requested for at in arrivals.first.values() if at > requested]
            report.check(
                f"cancel {number} ends it within a second",
                max(after, default=0.0) < 1.0,
                f"the call took {took_ms:.0f} ms; {len(after)} requests began after it, the last"
                f" one {max(after, default=0.0) * 1000:.0f} ms after",
            )
            now = await get_replay(app, replay.id)
            report.check(
                "every event that had begun was sent, and no other",
                now.status is ReplayStatus.CANCELLED and now.sent == len(arrivals.first) < events,
                f"{left.sent} sent when it was cancelled, {now.sent} in the end, of {events}",
            )
        await check_nothing_left(env, report)
    report.check_log(env.log)
    return report


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Keep this process's collector from delaying what is measured."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
