"""Slow, silent and locked endpoints delay no other endpoint's events beyond 250 ms."""

import asyncio
import math
import statistics
import time
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from tests.faults.accounting import row_counts
from tests.faults.environment import Environment, environment
from tests.faults.report import Report
from tests.support.daemons import until
from tests.support.receiver import Received, Reply

MAX_DELAY_MS = 250.0
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


async def slow_endpoints(
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
    Endpoints with `backlog` due deliveries each answer late, or never (None).

    Events for ten other endpoints are timed from their commit, once `busy` slow requests are open.
    """
    report = Report()
    late = Reply(after=NEVER_SECONDS if answer_after is None else answer_after)
    async with environment(database, folder, tenants=10, webhooks=1) as env:
        env.receiver.answer = lambda request: late if is_slow(request) else Reply()
        await add_slow_endpoints(env, endpoints, backlog)
        async with env.daemon() as daemon:
            await until(lambda: env.receiver.open_now >= busy, within=60)
            delays_ms = await measure_delays_ms(env, samples)
            median = statistics.median(delays_ms)
            report.check(
                f"commit to receipt within {MAX_DELAY_MS:.0f} ms at the median",
                median <= MAX_DELAY_MS,
                f"median {median:.1f} ms, most {max(delays_ms):.1f} ms,"
                f" {env.receiver.open_now} slow requests open",
            )
            report.check("the daemon is ready", await daemon.ready() == 200)
    report.check_log(env.log)
    return report


def is_slow(request: Received) -> bool:
    """Whether a request is for one of the slow endpoints."""
    return request.path.startswith("/slow")


async def add_slow_endpoints(env: Environment, endpoints: int, backlog: int) -> None:
    """Add one tenant with endpoints at /slow-0, /slow-1 …, and `backlog` due deliveries each."""
    async with env.application() as app:
        tenant = await app.tenant()
        ids: list[UUID] = [
            await app.webhook(tenant, f"{env.receiver.url}/slow-{number}")
            for number in range(endpoints)
        ]
        await app.db.execute(BACKLOG, ids, backlog)


async def measure_delays_ms(env: Environment, samples: int) -> list[float]:
    """Publish single events, each for another endpoint; from commit to receipt, in ms."""
    received = env.receiver.received
    committed: dict[str, float] = {}
    arrived: dict[str, float] = {}
    read = 0

    def all_arrived() -> bool:
        nonlocal read
        for request in received[read:]:
            if not is_slow(request):
                arrived.setdefault(request.pair[1], request.at)
        read = len(received)
        return committed.keys() <= arrived.keys()

    async with env.application() as app:
        for number in range(samples):
            event = await app.event(env.tenants[number % len(env.tenants)])
            committed[f"evt_{event.hex}"] = time.monotonic()
            await asyncio.sleep(PACE_SECONDS)  # spread over the slow endpoints' turns
    with suppress(TimeoutError):  # an event that has not arrived by now counts as never
        await until(all_arrived, within=10)
    return [(arrived.get(event, math.inf) - at) * 1000 for event, at in committed.items()]


async def locked_endpoint(
    database: str, folder: Path, *, backlog: int = 10_000, seconds: float = 15.0
) -> Report:
    """The application leaves a transaction open that has changed one busy webhook."""
    report = Report()
    async with environment(database, folder, tenants=10, webhooks=1) as env:
        await add_slow_endpoints(env, 1, backlog)
        async with env.application() as forgetful, env.daemon():
            lock = forgetful.db.transaction()
            await lock.start()
            await forgetful.db.execute(LOCK, f"{env.receiver.url}/slow-0")
            await check_delays_for(env, report, seconds)
            await lock.rollback()
            await check_backlog_delivered(env, report)
    report.check_log(env.log)
    return report


async def check_delays_for(env: Environment, report: Report, seconds: float) -> None:
    """Time events for the other endpoints for this many seconds."""
    began = time.monotonic()
    delays_ms: list[float] = []
    while time.monotonic() < began + seconds:
        delays_ms += await measure_delays_ms(env, 10)
    median = statistics.median(delays_ms)
    report.check(
        f"others have their events within {MAX_DELAY_MS:.0f} ms at the median",
        median <= MAX_DELAY_MS and max(delays_ms) < 5000,
        f"median {median:.1f} ms, most {max(delays_ms):.1f} ms,"
        f" {len(env.receiver.at('/slow-0'))} requests to the locked one",
    )


async def check_backlog_delivered(env: Environment, report: Report) -> None:
    """Wait until nothing is pending, and check that each delivery was sent once."""

    async def nothing_pending() -> bool:
        return (await row_counts(env)).pending == 0

    await until(nothing_pending, within=60)
    counts = await row_counts(env)
    report.check("all is delivered when it ends", counts.pending == counts.failed == 0, counts)
    repeated = len(env.receiver.received) - counts.success
    report.check("nothing was sent twice", repeated == 0, repeated)
