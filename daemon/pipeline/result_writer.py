"""
Settling: results go to the database in batches, each in one transaction with all that follows.

The result, the next attempt, the endpoint's health and the notice of its transition become true
together or not at all. A result that comes after its lease was lost changes nothing.
"""

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import asyncpg
import structlog

from daemon.core.model.attempts import AttemptResult
from daemon.core.model.endpoints import Health
from daemon.core.model.ids import DeliveryId, WebhookId
from daemon.core.model.notices import Notice
from daemon.core.outcomes.consequences import consequences
from daemon.core.outcomes.health import HealthLimits
from daemon.core.scheduling.lanes import Lanes
from daemon.pipeline.lane_waker import LaneWaker
from daemon.runtime.metrics import Metrics
from daemon.store import endpoint_health, notices, results
from daemon.store.claims import prolong, still_leased
from daemon.store.database import UNAVAILABLE, Connection, Database
from daemon.store.results import _settlement_of

log = structlog.get_logger()

LARGEST_BATCH = 500
# Under load a short wait makes one transaction of many; alone, a result is stored at once.
LINGER_SECONDS = 0.02
WORTH_A_TRANSACTION = 64
HELD_SECONDS = 0.25


class ResultWriter:
    """
    The loop that stores results, and rings `bell` for each next attempt.

    What cannot be stored for want of a database is kept and tried again.
    """

    name = "settle"

    def __init__(
        self,
        database: Database,
        lanes: Lanes,
        bell: LaneWaker,
        *,
        limits: HealthLimits,
        lease: timedelta,
        metrics: Metrics,
    ) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._limits = limits
        self._lease = lease
        self._lanes = lanes
        self._bell = bell
        self._metrics = metrics
        self._waiting: deque[AttemptResult] = deque()
        # Results whose rows or webhooks somebody else holds, older than any that wait.
        self._held: list[AttemptResult] = []
        self._prolonged_at = 0.0
        self._storing = 0
        self._log = structlog.get_logger().bind()  # bound once: it is the one hot line of the house

    @property
    def backlog(self) -> int:
        """How many results wait to be stored, but for those of webhooks that somebody holds."""
        return len(self._waiting) + self._storing

    async def emptied(self) -> None:
        """Wait until every result is stored that can be."""
        while self.backlog:
            self.wake.set()
            await asyncio.sleep(0.01)

    def add(self, attempted: AttemptResult) -> None:
        self._waiting.append(attempted)
        self.wake.set()

    async def run_once(self) -> float:
        if 0 < len(self._waiting) < WORTH_A_TRANSACTION <= self._lanes.in_flight:
            await asyncio.sleep(LINGER_SECONDS)
        batch, self._held = self._held, []
        room = max(1, LARGEST_BATCH - len(batch))
        batch += [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]
        if not batch:
            return 1.0
        self._storing = len(batch)
        try:
            await self._settle(batch)
        except BaseException:
            self._waiting.extendleft(reversed(batch))
            raise
        finally:
            self._storing = 0
        held = {attempted.claim.webhook_id for attempted in self._held}
        self._lanes.block(held, now=time.monotonic())
        if self._lanes.due:
            self._bell.wake.set()  # stored results, or a lock let go, leave room for attempts
        if self._held:
            await self._hold_on()
            return HELD_SECONDS
        return 0.0 if self._waiting else 1.0

    async def _hold_on(self) -> None:
        """Keep the leases of what is held from lapsing, or it would all be sent again."""
        now = time.monotonic()
        if now - self._prolonged_at < self._lease.total_seconds() / 4:
            return
        self._prolonged_at = now
        claims = [attempted.claim for attempted in self._held]
        async with self._database.connection() as db:
            leases = await prolong(db, claims, lease=self._lease)
        self._held = [_under(leases, attempted) for attempted in self._held]

    async def _settle(self, batch: Sequence[AttemptResult]) -> None:
        try:
            await self._store(batch)
        except UNAVAILABLE:
            raise
        except asyncpg.IntegrityConstraintViolationError:
            await self._store(batch)  # a webhook was deleted under our hands; now it is gone
        except asyncpg.PostgresError:
            # One result that cannot be stored must not hold up the others, nor be sent for ever.
            for attempted in batch:
                await self._store_alone(attempted)

    async def _store_alone(self, attempted: AttemptResult) -> None:
        try:
            await self._store([attempted])
        except UNAVAILABLE:
            raise
        except asyncpg.PostgresError:
            log.exception("result.unstorable", delivery_id=str(attempted.claim.delivery_id))
            await self._store([attempted], bare=True)

    async def _store(self, batch: Sequence[AttemptResult], *, bare: bool = False) -> None:
        began = time.perf_counter()
        ids = list({attempted.claim.webhook_id for attempted in batch})
        async with self._database.transaction() as db:
            health = await endpoint_health.lock_health(db, ids)
            free, held = await _apart(db, batch, health)
            settlements = [_settlement_of(attempted, bare=bare) for attempted in free]
            kept = await results.store_results(db, settlements)
            ours = [attempted for attempted in free if attempted.claim.delivery_id in kept]
            missed = [a.claim for a in free if a.claim.delivery_id not in kept]
            locked = await still_leased(db, missed)
            changes, told = consequences(ours, health, self._limits)
            if changes:
                await endpoint_health.change_health(db, changes)
            if told:
                await notices.write(db, told)
        self._held += held + [a for a in free if a.claim.delivery_id in locked]
        free = [attempted for attempted in free if attempted.claim.delivery_id not in locked]
        self._metrics.pipeline.settle_seconds.observe(time.perf_counter() - began)
        self._metrics.pipeline.settle_batch_size.observe(len(free))
        self._tell(free, kept, told)

    def _tell(
        self,
        batch: Sequence[AttemptResult],
        kept: dict[DeliveryId, datetime | None],
        told: Sequence[Notice],
    ) -> None:
        self._metrics.attempts.observe(batch)
        for attempted in batch:
            claim, verdict = attempted.claim, attempted.verdict
            if claim.delivery_id not in kept:
                self._metrics.pipeline.leases_lost.inc()
                log.warning("delivery.lease_lost", delivery_id=str(claim.delivery_id))
                continue
            if verdict.retry_in is not None:
                due = kept[claim.delivery_id]
                self._bell.announce(claim.webhook_id, verdict.retry_in.total_seconds(), due)
            self._log.info("delivery.attempted", **_line(attempted))
        for notice in told:
            self._metrics.notifications.notices[notice.kind].inc()
            log.warning(
                "endpoint.changed", kind=notice.kind.value, webhook_id=str(notice.webhook_id)
            )


def _under(leases: Mapping[DeliveryId, datetime], attempted: AttemptResult) -> AttemptResult:
    """The same, under its new lease if it got one."""
    lease = leases.get(attempted.claim.delivery_id)
    if lease is None:
        return attempted
    return replace(attempted, claim=replace(attempted.claim, leased_until=lease))


async def _apart(
    db: Connection, batch: Sequence[AttemptResult], health: Mapping[WebhookId, Health]
) -> tuple[list[AttemptResult], list[AttemptResult]]:
    """
    What can be settled now, and what must wait because somebody holds its webhook.

    A webhook that is gone holds nothing up: its deliveries went with it.
    """
    missing = {a.claim.webhook_id for a in batch if a.claim.webhook_id not in health}
    if not missing:
        return list(batch), []
    locked = await endpoint_health.existing(db, list(missing))
    free = [attempted for attempted in batch if attempted.claim.webhook_id not in locked]
    held = [attempted for attempted in batch if attempted.claim.webhook_id in locked]
    return free, held


def _line(attempted: AttemptResult) -> dict[str, object]:
    claim, verdict = attempted.claim, attempted.verdict
    line: dict[str, object] = {
        "event_id": str(claim.event_id),
        "delivery_id": str(claim.delivery_id),
        "webhook_id": str(claim.webhook_id),
        "attempt": claim.attempt,
        "status": verdict.status,
        "took_ms": attempted.outcome.took_ms,
    }
    if verdict.error is not None:
        line["error"] = verdict.error
    if verdict.retry_in is not None:
        line["retry_in_s"] = round(verdict.retry_in.total_seconds(), 3)
    return line
