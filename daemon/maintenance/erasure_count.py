"""Counts of an erasure, made without changing anything."""

from collections.abc import Callable

from daemon.core.model.erasure import ErasureCounts, ErasureTarget
from daemon.core.model.ids import EventId, WebhookId
from daemon.maintenance.erasure_pages import ErasurePages
from daemon.maintenance.erasure_progress import Progress, RunningCounts, ignore_progress
from daemon.store import (
    erasure_access,
    erasure_answers,
    erasure_confirmations,
    erasure_events,
    erasure_operational,
    erasure_webhooks,
    webhook_history,
)
from daemon.store.database import Database
from daemon.store.erasure import TextCursor


class ErasureCount:
    """Counts the data of `target`, once; `on_progress` is called after each page."""

    def __init__(
        self,
        database: Database,
        target: ErasureTarget,
        *,
        on_progress: Callable[[Progress], None] = ignore_progress,
    ) -> None:
        self._database = database
        self._target = target
        self._running = RunningCounts(on_progress)
        self._pages = ErasurePages(database, target, on_rows_read=self._running.add_rows_read)

    async def count(self) -> ErasureCounts:
        """Return the counts of rows that `Erasure.erase` would erase."""
        everything = self._target.contact is None
        events = await self._count_events()
        for webhook_id in await self._pages.webhook_ids():
            await self._count_deliveries(webhook_id, events)
            if everything:
                async with self._database.connection() as db:
                    self._running.add(await erasure_webhooks.count_records(db, webhook_id))
        async with self._database.connection() as db:
            self._running.add(await erasure_confirmations.count(db, self._target))
            self._running.add(await erasure_answers.count(db, self._target))
        if everything:
            await self._count_rest_of_tenant()
        return self._running.counts

    async def _count_events(self) -> set[EventId]:
        """The ids of the contact's events; their deliveries count whatever data they hold."""
        found: set[EventId] = set()
        async for events in self._pages.events():
            async with self._database.connection() as db:
                waiting = await erasure_events.count_waiting(db, events)
            self._running.add(ErasureCounts(events=len(events), waiting=waiting))
            if self._target.contact is not None:
                found.update(events)
        return found

    async def _count_deliveries(self, webhook_id: WebhookId, events: set[EventId]) -> None:
        async for page in self._pages.deliveries(webhook_id, since=TextCursor()):
            selected = await self._pages.select_target(webhook_id, page)
            found = [each for each in page if each.id in selected or each.event_id in events]
            pending = sum(delivery.pending for delivery in found)
            self._running.add(ErasureCounts(deliveries=len(found), pending=pending))

    async def _count_rest_of_tenant(self) -> None:
        tenant_id = self._target.tenant_id
        async with self._database.connection() as db:
            self._running.add(await erasure_access.count(db, tenant_id))
            self._running.add(await webhook_history.count(db, tenant_id))
            self._running.add(await erasure_operational.count_events(db, tenant_id))
        async for _, page in self._pages.operational_deliveries():
            pending = sum(each.pending for each in page)
            self._running.add(ErasureCounts(deliveries=len(page), pending=pending))
