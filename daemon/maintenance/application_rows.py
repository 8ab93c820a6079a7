"""
The loop that reports rows of the application that are wrong, not found, or do not come.

Each is reported once, and few at a time. It reads what indexes and partitions find at once, some
tenants each time, and changes nothing.
`webhookd check` lists the rows of all tenants.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from uuid import UUID

import structlog

from daemon.core.errors import StatementTimeoutError
from daemon.core.model.application_rows import WrongRow
from daemon.core.model.ids import TenantId
from daemon.runtime.metrics import Metrics
from daemon.store import application_rows, partitioning, subscribers
from daemon.store.database import Database
from daemon.store.session import Connection
from daemon.store.subscribers import StoppedSubscription, Subscription

log = structlog.get_logger()

REST_SECONDS = 60.0
# Readiness expects every loop to return within seconds.
LONGEST_REST_SECONDS = 10.0
TENANTS_AT_ONCE = 200
MOST_REPORTED = 10  # in one round
MOST_REMEMBERED = 10_000  # rows that were reported
FIRST = TenantId(UUID(int=0))


class ApplicationRows:
    """The loop; it rests for `rest_seconds` between rounds."""

    name = "application_rows"

    def __init__(
        self, database: Database, metrics: Metrics, *, rest_seconds: float = REST_SECONDS
    ) -> None:
        self.wake = asyncio.Event()
        self._database = database
        self._metrics = metrics
        self._rest_seconds = rest_seconds
        self._next_round_at = 0.0
        self._after = FIRST
        self._reported: OrderedDict[tuple[str, UUID], None] = OrderedDict()
        self._reported_subscriptions: list[Subscription] = []
        self._stopped: set[StoppedSubscription] = set()  # at the last look
        self._reported_stopped: set[StoppedSubscription] = set()

    async def run_once(self) -> float:
        """Look for wrong rows, if it is time; returns the seconds to rest."""
        now = asyncio.get_running_loop().time()
        if now >= self._next_round_at:
            await self._round()
            self._next_round_at = now + self._rest_seconds
        return min(LONGEST_REST_SECONDS, max(0.0, self._next_round_at - now))

    async def _round(self) -> None:
        try:
            async with self._database.transaction(durable=False) as db:
                await application_rows.limit_time(db)
                self._report_subscriptions(await subscribers.subscriptions_in_vain(db))
                self._report_stopped(set(await subscribers.stopped(db)))
                found = await self._look(db)
        except StatementTimeoutError:
            log.debug("application_rows.search_timed_out")
            return
        self._report(found)

    def _report_subscriptions(self, in_vain: list[Subscription]) -> None:
        for each in in_vain:
            if each not in self._reported_subscriptions:
                log.warning(
                    "rows.not_found",
                    table=each.table,
                    subscription=each.name,
                    reason=f"replication fires no trigger: run `{subscribers.COMMAND}`",
                )
        self._reported_subscriptions = in_vain

    def _report_stopped(self, stopped: set[StoppedSubscription]) -> None:
        """Report what has stopped for two looks: a worker may just be starting at one."""
        lasting = stopped & self._stopped
        self._stopped = stopped
        self._metrics.pipeline.subscriptions_stopped.set(len(lasting))
        for each in lasting - self._reported_stopped:
            log.error("replication.stopped", subscription=each.name, reason=each.reason)
        for each in self._reported_stopped - stopped:
            log.info("replication.goes_on", subscription=each.name)
        self._reported_stopped = lasting | (self._reported_stopped & stopped)

    async def _look(self, db: Connection) -> list[WrongRow]:
        limit = MOST_REPORTED
        tenants = await application_rows.tenants_after(db, self._after, limit=TENANTS_AT_ONCE)
        self._after = tenants[-1] if len(tenants) == TENANTS_AT_ONCE else FIRST
        layout = await partitioning.layout(db)
        return [
            *await application_rows.unknown_statuses(db, layout, whole_table=False, limit=limit),
            *await application_rows.wrong_events(db, tenants, limit=1),
        ]

    def _report(self, found: Sequence[WrongRow]) -> None:
        new = [each for each in found if (each.slip.name, each.id) not in self._reported]
        for each in new[:MOST_REPORTED]:
            self._reported[each.slip.name, each.id] = None
            log.warning(
                "row.written_wrongly",
                table=each.table,
                id=str(each.id),
                tenant_id=None if each.tenant_id is None else str(each.tenant_id),
                value=each.detail,
                reason=each.slip.value,
            )
        while len(self._reported) > MOST_REMEMBERED:
            self._reported.popitem(last=False)
