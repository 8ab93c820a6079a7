"""The dispatcher between lanes and results: a claim becomes a result, or is given back."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from daemon.core.errors import STATEMENT_FAILURES, PostponedError
from daemon.core.model.attempts import AttemptResult, Claim, Outcome, Response, Verdict
from daemon.core.model.ids import TenantId, WebhookId
from daemon.core.outcomes.endpoint_health import HealthLimits
from daemon.core.scheduling.lanes import Lanes, LaneTurn
from daemon.core.scheduling.slow_tenants import SlowTenants
from daemon.pipeline.attempt import AttemptMaker
from daemon.pipeline.delivery_inserter import DeliveryInserter
from daemon.pipeline.dispatcher import Dispatcher
from daemon.pipeline.first_attempts import FirstAttempts
from daemon.pipeline.first_results import FirstResults
from daemon.pipeline.lane_waker import LaneWaker
from daemon.pipeline.open_events import OpenEvents
from daemon.pipeline.paced_starts import CLAIMED_AT_ONCE
from daemon.pipeline.result_writer import ResultWriter
from daemon.runtime.loop import Heartbeats, run_loop
from daemon.runtime.metrics import Metrics
from daemon.store import claims
from daemon.store.database import Database
from daemon.store.leased_events import Leasing
from daemon.store.session import Connection
from tests.support.application import Application
from tests.support.daemons import until

LEASE = timedelta(seconds=30)
TENANT = TenantId(UUID(int=1))  # lanes only tell tenants apart


class ScriptedAttempts(AttemptMaker):
    """Makes each attempt by calling `make`, and counts them."""

    def __init__(self, make: Callable[[Claim], Awaitable[AttemptResult]]) -> None:
        self.made = 0
        self._make = make

    def host_of(self, url: str) -> str | None:
        return None

    def begin(self, *_: object) -> None:
        """No attempt is plain."""

    async def attempt(
        self, claim: Claim, *, public_id: str | None = None, unproven: bool = False
    ) -> AttemptResult:
        self.made += 1
        return await self._make(claim)


class Running:
    """A dispatcher and a result writer over one set of lanes."""

    def __init__(self, database: Database, attempts: AttemptMaker) -> None:
        metrics, events = Metrics(), OpenEvents()
        leasing = Leasing(lease=LEASE, daemon_key=1, most_bytes=8 * 1024 * 1024)
        self.database = database
        self.lanes = Lanes(slots=100, widest=30)
        self.waker = LaneWaker(self.lanes)
        self.slow = SlowTenants(slow_from=1)
        self.results = ResultWriter(
            *(database, self.lanes, self.waker, FirstResults(events, leasing=leasing)),
            limits=HealthLimits(),
            lease=LEASE,
            metrics=metrics,
            slow=self.slow,
        )
        first_attempts = FirstAttempts(
            *(database, self.lanes, self.waker),
            DeliveryInserter(database, self.waker, leasing=leasing, metrics=metrics),
            events,
            leasing=leasing,
        )
        self.dispatcher = Dispatcher(
            *(database, self.lanes, self.waker),
            attempts=attempts,
            first_attempts=first_attempts,
            results=self.results,
            leasing=leasing,
            metrics=metrics,
        )


@asynccontextmanager
async def running(url: str, attempts: AttemptMaker) -> AsyncIterator[Running]:
    database = Database(url, size=4)
    await database.open()
    parts, stop, heartbeats = Running(database, attempts), asyncio.Event(), Heartbeats()
    loops = (parts.dispatcher, parts.results)
    tasks = [asyncio.create_task(run_loop(x, stop=stop, heartbeats=heartbeats)) for x in loops]
    try:
        yield parts
    finally:
        stop.set()
        for loop in loops:
            loop.wake.set()
        await asyncio.gather(*tasks)
        await database.close(within=timedelta(seconds=1))


async def insert_pending(app: Application, webhook: WebhookId, number: int = 1) -> None:
    await app.db.execute(
        "INSERT INTO webhook_deliveries (webhook_id, event_id, event_type, payload)"
        " SELECT $1, gen_random_uuid(), 'email.opened', '{}' FROM generate_series(1, $2::int)",
        webhook,
        number,
    )


async def count(app: Application, where: str) -> int:
    return int(await app.db.fetchval(f"SELECT count(*) FROM webhook_deliveries WHERE {where}"))


async def has_delivered(app: Application, number: int) -> bool:
    return await count(app, "status = 'success'") == number


async def deliver(claim: Claim) -> AttemptResult:
    verdict = Verdict(delivered=True, status=200, error=None, retry_in=None)
    return AttemptResult(claim, Outcome(Response(200, (), "OK"), took_ms=3000), verdict, "sha256=0")


async def postpone(claim: Claim) -> AttemptResult:
    error = PostponedError("the proxy refuses")
    error.pause_seconds = 0.0
    raise error


async def fail(claim: Claim) -> AttemptResult:
    raise RuntimeError("a bug")


async def test_a_claim_becomes_a_stored_result(app: Application, database: str) -> None:
    webhook = WebhookId(await app.webhook(await app.tenant(), "https://receiver.example/"))
    await insert_pending(app, webhook)
    async with running(database, ScriptedAttempts(deliver)) as parts:
        parts.waker.announce(webhook, 0.0, None, tenant_id=TENANT)
        await until(lambda: count(app, "status = 'success'"))
        await until(lambda: parts.results.backlog == 0)

        assert parts.lanes.in_flight == 0


class CountedIterations(ScriptedAttempts):
    """Counts how many attempts begin in each iteration of the loop."""

    def __init__(self, make: Callable[[Claim], Awaitable[AttemptResult]]) -> None:
        super().__init__(make)
        self.begun = Counter[int]()
        self._iteration = 0
        self._count_iterations()

    def begin(self, *_: object) -> None:
        self.begun[self._iteration] += 1

    def _count_iterations(self) -> None:
        self._iteration += 1
        if self.made < 60:
            asyncio.get_running_loop().call_soon(self._count_iterations)


async def test_a_few_attempts_begin_in_each_iteration_of_the_loop(
    app: Application, database: str
) -> None:
    webhooks = [
        WebhookId(await app.webhook(await app.tenant(), "https://receiver.example/"))
        for _ in range(60)
    ]
    for webhook in webhooks:
        await insert_pending(app, webhook)
    attempts = CountedIterations(deliver)
    async with running(database, attempts) as parts:
        for number, webhook in enumerate(webhooks):
            tenant_id = TenantId(UUID(int=number))
            parts.waker.announce(webhook, 0.0, None, tenant_id=tenant_id)
        await until(lambda: has_delivered(app, 60))

    assert attempts.begun.total() == 60
    assert max(attempts.begun.values()) == CLAIMED_AT_ONCE


@pytest.mark.parametrize("fault", [postpone, pytest.param(fail, marks=pytest.mark.full)])
async def test_a_fault_of_the_daemon_changes_neither_the_window_of_a_lane_nor_its_mean(
    app: Application, database: str, fault: Callable[[Claim], Awaitable[AttemptResult]]
) -> None:
    webhook = WebhookId(await app.webhook(await app.tenant(), "https://receiver.example/"))
    attempts = ScriptedAttempts(deliver)
    async with running(database, attempts) as parts:
        await insert_pending(app, webhook, 22)
        parts.waker.announce(webhook, 0.0, None, tenant_id=TENANT)
        await until(lambda: has_delivered(app, 22))
        lane = parts.lanes._lanes[webhook]
        window, mean_ms = lane.window, lane.mean_ms
        assert lane.slow
        assert window >= 20

        attempts._make, attempts.made = fault, 0
        await insert_pending(app, webhook, 5)
        parts.waker.announce(webhook, 0.0, None, tenant_id=TENANT)
        await until(lambda: attempts.made >= 5)
        await until(lambda: parts.dispatcher.in_flight == 0)

        assert (lane.window, lane.mean_ms, lane.slow) == (window, mean_ms, True)
        assert await count(app, "status = 'pending_retry' AND attempt_number = 1") == 5


async def test_results_that_lost_their_leases_together_are_one_line_in_the_log(
    app: Application, database: str
) -> None:
    responded = asyncio.Event()

    async def respond(claim: Claim) -> AttemptResult:
        await responded.wait()
        return await deliver(claim)

    webhook = WebhookId(await app.webhook(await app.tenant(), "https://receiver.example/"))
    attempts = ScriptedAttempts(deliver)
    with capture_logs() as logs:
        async with running(database, attempts) as parts:
            await insert_pending(app, webhook, 22)
            parts.waker.announce(webhook, 0.0, None, tenant_id=TENANT)
            await until(lambda: has_delivered(app, 22))
            attempts._make, attempts.made = respond, 0
            await insert_pending(app, webhook, 15)
            parts.waker.announce(webhook, 0.0, None, tenant_id=TENANT)
            await until(lambda: attempts.made >= 15)
            await app.db.execute("DELETE FROM webhooks WHERE id = $1", webhook)
            responded.set()
            await until(lambda: parts.dispatcher.in_flight == parts.results.backlog == 0)

    lines = [each for each in logs if each["event"] == "delivery.lease_lost"]
    assert len(lines) <= 2
    assert sum(each["count"] for each in lines) == 15
    assert {each["webhook_id"] for each in lines} == {str(webhook)}


@pytest.mark.parametrize(
    "error",
    [
        STATEMENT_FAILURES[0],
        *(pytest.param(each, marks=pytest.mark.full) for each in STATEMENT_FAILURES[1:]),
    ],
)
async def test_a_lane_of_which_no_claim_can_be_read_stops_no_other(
    app: Application,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    error: type[Exception],
) -> None:
    tenant = await app.tenant()
    webhooks = [WebhookId(await app.webhook(tenant, "https://receiver.example/")) for _ in range(9)]
    bad, *good = webhooks
    for webhook in webhooks:
        await insert_pending(app, webhook, 2)
    original = claims.claim

    async def claim(db: Connection, turns: Sequence[LaneTurn], **options: Any) -> Any:
        if any(turn.webhook_id == bad for turn in turns):
            raise error("this row cannot be printed")
        return await original(db, turns, **options)

    monkeypatch.setattr(claims, "claim", claim)
    async with running(database, ScriptedAttempts(deliver)) as parts:
        for webhook in webhooks:
            parts.waker.announce(webhook, 0.0, None, tenant_id=TENANT)
        await until(lambda: has_delivered(app, 2 * len(good)))

        assert parts.lanes.in_flight == 0
        assert parts.lanes.ready == 0
    assert await count(app, "status = 'pending_retry'") == 2
