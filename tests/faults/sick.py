"""Sick endpoints hold up nobody else: a healthy one has its event within a quarter of a second."""

import asyncio
import math
import statistics
import time
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from tests.faults.report import Report
from tests.faults.stage import Stage, faults_logged, stage
from tests.support import daemons
from tests.support.receiver import Received, Reply

PROMISED_MS = 250.0
NEVER_SECONDS = 3600.0
PACE_SECONDS = 0.05

BACKLOG = """
    INSERT INTO webhook_deliveries (id, webhook_id, event_id, event_type, payload, status,
                                    next_retry_at)
    SELECT gen_random_uuid(), webhook_id, gen_random_uuid(), 'email.opened',
           '{"email_id": "msg_1"}', 'pending_retry', now()
      FROM unnest($1::uuid[]) AS webhook_id, generate_series(1, $2)
"""

LOCK = "UPDATE webhooks SET name = 'another name' WHERE endpoint_url = $1"


async def sick_ones(
    database: str,
    folder: Path,
    *,
    endpoints: int,
    backlog: int,
    answer_after: float | None,
    busy: int,
    samples: int = 40,
) -> Report:
    """
    So many endpoints with `backlog` due deliveries each that answer late, or (None) never.

    Events for ten others are timed from their commit, once `busy` requests to the sick are open.
    """
    report = Report()
    log = folder / "sick.log"
    late = Reply(after=NEVER_SECONDS if answer_after is None else answer_after)
    async with stage(database, tenants=10, webhooks=1) as it:
        it.receiver.answer = lambda request: late if is_sick(request) else Reply()
        await make_sick(it, endpoints, backlog)
        async with daemons.daemon(database, folder, port=daemons.free_port(), log=log) as one:
            await daemons.until(lambda: it.receiver.open_now >= busy, within=60)
            took_ms = await receipts(it, samples)
            median = statistics.median(took_ms)
            report.note(
                f"commit to receipt within {PROMISED_MS:.0f} ms at the median",
                median <= PROMISED_MS,
                f"median {median:.1f} ms, most {max(took_ms):.1f} ms,"
                f" {it.receiver.open_now} sick requests open",
            )
            report.note("the daemon is ready", await one.ready() == 200)
    report.note("no fault of ours in the logs", not faults_logged([log]), faults_logged([log])[:3])
    return report


def is_sick(request: Received) -> bool:
    return request.path.startswith("/sick")


async def make_sick(it: Stage, endpoints: int, backlog: int) -> None:
    async with it.application() as app:
        tenant = await app.tenant()
        ids: list[UUID] = [
            await app.webhook(tenant, f"{it.receiver.url}/sick-{number}")
            for number in range(endpoints)
        ]
        await app.db.execute(BACKLOG, ids, backlog)


async def receipts(it: Stage, samples: int) -> list[float]:
    """Publish single events, each for another endpoint; from commit to receipt, in ms."""
    arrived: dict[str, float] = {}
    gone = 0

    def note_new() -> bool:
        nonlocal gone
        for request in it.receiver.received[gone:]:
            if not is_sick(request):
                arrived.setdefault(request.pair[1], request.at)
        gone = len(it.receiver.received)
        return committed.keys() <= arrived.keys()

    committed: dict[str, float] = {}
    async with it.application() as app:
        for number in range(samples):
            event = await app.event(it.tenants[number % len(it.tenants)])
            committed[f"evt_{event.hex}"] = time.monotonic()
            await asyncio.sleep(PACE_SECONDS)  # a trickle, spread over the sick ones' turns
    with suppress(TimeoutError):  # what has not come by now counts as never
        await daemons.until(note_new, within=10)
    return [(arrived.get(event, math.inf) - at) * 1000 for event, at in committed.items()]


async def locked_one(
    database: str, folder: Path, *, backlog: int = 10_000, seconds: float = 15.0
) -> Report:
    """The application leaves a transaction open that has changed one busy webhook."""
    report = Report()
    log = folder / "locked.log"
    async with stage(database, tenants=10, webhooks=1) as it:
        await make_sick(it, 1, backlog)
        async with (
            it.application() as forgetful,
            daemons.daemon(database, folder, port=daemons.free_port(), log=log),
        ):
            held = forgetful.db.transaction()
            await held.start()
            await forgetful.db.execute(LOCK, f"{it.receiver.url}/sick-0")
            began = time.monotonic()
            took_ms: list[float] = []
            while time.monotonic() < began + seconds:
                took_ms += await receipts(it, 10)
            median = statistics.median(took_ms)
            report.note(
                f"others have their events within {PROMISED_MS:.0f} ms at the median",
                median <= PROMISED_MS and max(took_ms) < 5000,
                f"median {median:.1f} ms, most {max(took_ms):.1f} ms,"
                f" {len(it.receiver.at('/sick-0'))} requests to the locked one",
            )
            await held.rollback()

            async def all_done() -> bool:
                return (await it.tally()).pending == 0

            await daemons.until(all_done, within=60)
            tally = await it.tally()
            report.note("all is delivered when it ends", tally.pending == tally.failed == 0, tally)
            doubled = len(it.receiver.received) - tally.success
            report.note("nothing twice", doubled == 0, doubled)
    report.note("no fault of ours in the logs", not faults_logged([log]), faults_logged([log])[:3])
    return report
