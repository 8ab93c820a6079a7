"""Replays: new events do not wait for them, and whoever dies nothing of them is skipped."""

import asyncio
import gc
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from daemon.core.model.replays import ReplayStatus
from tests.faults.daemons import LEASE_SECONDS
from tests.faults.report import Report
from tests.faults.stage import Stage, faults_logged, stage
from tests.support import daemons
from tests.support.receiver import Received, Reply
from tests.support.replays import (
    cancel,
    get_replay,
    public_ids,
    request_for,
    start,
    store_events,
    until_ended,
)

PROMISED_MS = 100.0
PACE_SECONDS = 0.02
WARM_UP = 50
# After a cancel: whatever still came would come by then.
LISTENED_SECONDS = 2.0
APART = timedelta(milliseconds=10)


class Arrivals:
    """When each event came first, and how often; requests themselves are not kept."""

    def __init__(self, it: Stage, *, answer_after: float) -> None:
        self.first: dict[str, float] = {}
        self.times: Counter[str] = Counter()
        self._kept = it.receiver.received
        self._reply = Reply(after=answer_after)
        it.receiver.answer = self._note

    def _note(self, request: Received) -> Reply:
        self._kept.clear()
        event = request.headers["webhook-id"]
        self.first.setdefault(event, request.at)
        self.times[event] += 1
        return self._reply


class Trickle:
    """Single events, by turns for the webhook that is replayed to and for others."""

    def __init__(self, it: Stage, arrivals: Arrivals, same: UUID) -> None:
        self._it = it
        self._arrivals = arrivals
        self._same = same

    async def ms(self, *, until: asyncio.Event, most: int) -> tuple[list[float], list[float]]:
        """From commit to receipt, in ms: to the same webhook, and to others."""
        committed: list[dict[str, float]] = [{}, {}]
        async with self._it.application() as app:
            for number in range(most):
                tenants = [self._same, self._it.tenants[number % len(self._it.tenants)]]
                for which, tenant in enumerate(tenants):
                    event = await app.event(tenant)
                    committed[which][f"evt_{event.hex}"] = time.monotonic()
                    await asyncio.sleep(PACE_SECONDS)
                if until.is_set():
                    break
        first = self._arrivals.first
        await daemons.until(lambda: all(each.keys() <= first.keys() for each in committed))
        same, others = [
            [(first[event] - at) * 1000 for event, at in each.items()] for each in committed
        ]
        return same, others


async def beside_live(
    database: str,
    folder: Path,
    *,
    events: int,
    answer_after: float = 0.0,
    samples: int = 500,
    promised_ms: float | None = PROMISED_MS,
) -> Report:
    """
    A replay of so many events, and a trickle of new ones beside it.

    Their delays are held against those of a trickle before it; `promised_ms` None only tells them.
    """
    report = Report()
    log = folder / "replay.log"
    async with (
        stage(database, tenants=10, webhooks=1) as it,
        it.application() as app,
        daemons.daemon(database, folder, port=daemons.free_port(), log=log) as one,
        no_collecting(),
    ):
        arrivals = Arrivals(it, answer_after=answer_after)
        tenant = await app.tenant()
        webhook = await app.webhook(tenant, f"{it.receiver.url}/replayed")
        stored = public_ids(await store_events(app, tenant, events, apart=APART))
        trickle = Trickle(it, arrivals, tenant)
        await trickle.ms(until=asyncio.Event(), most=WARM_UP)  # connections, plans, windows
        alone = await trickle.ms(until=asyncio.Event(), most=samples)
        ended = asyncio.Event()
        began = time.monotonic()
        replay = await start(app, request_for(webhook))
        live = asyncio.create_task(trickle.ms(until=ended, most=100_000))
        while (await get_replay(app, replay.id)).status is ReplayStatus.RUNNING:
            await asyncio.sleep(0.25)
        took = time.monotonic() - began
        ended.set()
        beside = await live
        report.note("a second", True, f"{events / took:.0f}, {took:.1f} s in all")
        for name, before, during in zip(("the same", "others"), alone, beside, strict=True):
            delay = quantile(during, 0.95) - quantile(before, 0.5)
            report.note(
                f"new events for {name} come no more than {PROMISED_MS:.0f} ms later, 19 of 20",
                promised_ms is None or delay <= promised_ms,
                f"without {told(before)}; beside {told(during)}",
            )
        known = events + len(alone[0]) + WARM_UP
        report.note("counted before", replay.total == known, f"{replay.total} of {known}")
        missing = set(stored) - arrivals.times.keys()
        doubled = sum(arrivals.times[event] > 1 for event in stored)
        report.note(
            "all of it was sent, and once",
            not missing and not doubled,
            f"{len(missing)} missing, {doubled} doubled",
        )
        report.note("the daemon is ready", await one.ready() == 200)
    report.note("no fault of ours in the logs", not faults_logged([log]), faults_logged([log])[:3])
    return report


async def killed(
    database: str, folder: Path, *, events: int, rounds: int = 1, wait_for_leases: bool
) -> Report:
    """
    kill -9 in the middle of a replay, then a restart; doubled is only what was in flight.

    Without `wait_for_leases` the dead daemon's leases are made to lapse, else they are waited for.
    """
    report = Report()
    log = folder / "killed-replay.log"
    in_flight: set[str] = set()
    async with stage(database, tenants=1, webhooks=1) as it, it.application() as app:
        arrivals = Arrivals(it, answer_after=0.005)
        webhook = await app.db.fetchval("SELECT id FROM webhooks")
        stored = public_ids(await store_events(app, it.tenants[0], events, apart=APART))
        replay = await start(app, request_for(webhook))
        port = daemons.free_port()
        for number in range(rounds):
            share = events * (number + 1) // (rounds + 1)
            async with daemons.daemon(database, folder, port=port, log=log) as one:
                await daemons.until(lambda n=share: len(arrivals.first) >= n, within=300)
                await one.kill()
            await it.forget_daemon()
            unsettled = arrivals.first.keys() - {event for _, event in await it.stored()}
            in_flight |= unsettled
            standing = await get_replay(app, replay.id)
            report.note(
                f"killed in the middle, {number + 1}",
                standing.status is ReplayStatus.RUNNING,
                f"{standing.sent} of {standing.total} sent, {len(unsettled)} without a result",
            )
            if not wait_for_leases:
                await it.lapse_leases()
        async with daemons.daemon(database, folder, port=port, log=log):
            ended = await until_ended(app, replay.id, within=300 + LEASE_SECONDS)
        missing = set(stored) - arrivals.times.keys()
        doubled = {event for event, times in arrivals.times.items() if times > 1}
        report.note("nothing skipped", not missing, f"{len(stored)}, {len(missing)} missing")
        report.note("only what was in flight came twice", doubled <= in_flight, len(doubled))
        tally = await it.tally()
        report.note("every event made once", tally.success == events == ended.sent, tally)
        report.note("nothing left", tally.pending == tally.leased == tally.failed == 0, tally)
    report.note("no fault of ours in the logs", not faults_logged([log]), faults_logged([log])[:3])
    return report


async def cancelled(database: str, folder: Path, *, events: int, rounds: int = 1) -> Report:
    """A replay is cancelled in its middle: what follows, and for how long."""
    report = Report()
    log = folder / "cancelled-replay.log"
    async with (
        stage(database, tenants=1, webhooks=1) as it,
        it.application() as app,
        daemons.daemon(database, folder, port=daemons.free_port(), log=log),
    ):
        webhook = await app.db.fetchval("SELECT id FROM webhooks")
        await store_events(app, it.tenants[0], events, apart=APART)
        for number in range(1, rounds + 1):
            arrivals = Arrivals(it, answer_after=0.005)
            replay = await start(app, request_for(webhook))
            await daemons.until(lambda seen=arrivals: len(seen.first) >= events // 2, within=300)
            asked = time.monotonic()
            left = await cancel(app, replay.id)
            took_ms = (time.monotonic() - asked) * 1000
            await asyncio.sleep(LISTENED_SECONDS)
            after = [at - asked for at in arrivals.first.values() if at > asked]
            report.note(
                f"cancel {number} ends it within a second",
                max(after, default=0.0) < 1.0,
                f"asked for {took_ms:.0f} ms; {len(after)} requests began after that, the last one"
                f" {max(after, default=0.0) * 1000:.0f} ms after",
            )
            now = await get_replay(app, replay.id)
            report.note(
                "what was begun was sent, and is all that was",
                now.status is ReplayStatus.CANCELLED and now.sent == len(arrivals.first) < events,
                f"{left.sent} sent when it was cancelled, {now.sent} in the end, of {events}",
            )
        tally = await it.tally()
        report.note("nothing left", tally.pending == tally.leased == tally.failed == 0, tally)
    report.note("no fault of ours in the logs", not faults_logged([log]), faults_logged([log])[:3])
    return report


def told(ms: list[float]) -> str:
    return (
        f"median {statistics.median(ms):.1f} ms, p95 {quantile(ms, 0.95):.1f},"
        f" most {max(ms):.1f} ({len(ms)})"
    )


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[int((len(values) - 1) * share)]


@asynccontextmanager
async def no_collecting() -> AsyncIterator[None]:
    """Our own garbage must not be charged to the daemon."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
