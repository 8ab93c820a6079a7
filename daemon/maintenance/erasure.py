"""
Erasure of one contact's data, or of everything of a tenant, while daemons and applications work.

Rows that are added meanwhile are followed up: deliveries of events that are being fanned out, and
next attempts of deliveries whose results are being stored.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial

from daemon.core.errors import WebhookdError
from daemon.core.model.erasure import ErasureCounts, ErasureTarget
from daemon.core.model.ids import EventId, WebhookId
from daemon.maintenance.erasure_pages import ErasurePages
from daemon.store import (
    erasure,
    erasure_access,
    erasure_answers,
    erasure_confirmations,
    erasure_deliveries,
    erasure_events,
    erasure_operational,
    erasure_webhooks,
    webhook_history,
)
from daemon.store.database import Database
from daemon.store.erasure import ErasureStep, TextCursor
from daemon.store.erasure_deliveries import StoredDelivery
from daemon.store.session import Connection

DELIVERIES_PER_STEP = 1000
RECORDS_PER_STEP = 1000
LOCK_POLL_SECONDS = 0.1
LOCK_PATIENCE_SECONDS = 30.0
# How often rows that were added during the erasure are followed up.
MAX_FOLLOW_UPS = 10


@dataclass(frozen=True, slots=True)
class Progress:
    """The number of rows read so far, and the rows found or erased among them."""

    rows_read: int
    counts: ErasureCounts


def ignore_progress(_: Progress) -> None:
    """The default for `on_progress`."""


class Erasure:
    """
    Counts or erases the data of `target`.

    `on_progress` is called after each page and each step. `patience_seconds` bounds the wait for
    rows that other transactions lock.
    """

    def __init__(
        self,
        database: Database,
        target: ErasureTarget,
        *,
        on_progress: Callable[[Progress], None] = ignore_progress,
        patience_seconds: float = LOCK_PATIENCE_SECONDS,
    ) -> None:
        self._database = database
        self._target = target
        self._on_progress = on_progress
        self._patience_seconds = patience_seconds
        self._pages = ErasurePages(database, target, on_rows_read=self._add_rows_read)
        self._rows_read = 0
        self._counts = ErasureCounts()

    async def tenant_exists(self) -> bool:
        """Whether the target's tenant, or data of it, is stored."""
        async with self._database.connection() as db:
            return await erasure.tenant_exists(db, self._target.tenant_id)

    async def count(self) -> ErasureCounts:
        """Count the rows that `erase` would erase; changes nothing."""
        self._reset()
        events = await self._count_events()
        for webhook_id in await self._webhook_ids():
            await self._count_deliveries(webhook_id, events)
            if self._target.contact is None:
                async with self._database.connection() as db:
                    self._add(await erasure_webhooks.count_records(db, webhook_id))
        async with self._database.connection() as db:
            self._add(await erasure_confirmations.count(db, self._target))
            self._add(await erasure_answers.count(db, self._target))
        if self._target.contact is None:
            async with self._database.connection() as db:
                self._add(await erasure_access.count(db, self._target.tenant_id))
                self._add(await webhook_history.count(db, self._target.tenant_id))
                self._add(await erasure_operational.count_events(db, self._target.tenant_id))
            async for _, page in self._operational_deliveries():
                pending = sum(each.pending for each in page)
                self._add(ErasureCounts(deliveries=len(page), pending=pending))
        return self._counts

    async def erase(self) -> ErasureCounts:
        """
        Erase the target's data, for good once this returns; returns the counts of erased rows.

        Revokes the tenant's tokens and portal links, and pauses its webhooks, first when everything
        is to be erased. Raises WebhookdError when another transaction keeps rows locked for
        `patience_seconds`. The rows erased until then stay erased, and another run continues.
        """
        self._reset()
        everything = self._target.contact is None
        if everything:
            for erase in (erasure_access.erase_tokens, erasure_access.erase_links):
                await self._repeat(partial(erase, tenant_id=self._target.tenant_id))
            await self._repeat(self._erase_history)
            await self._repeat(partial(erasure_webhooks.pause, tenant_id=self._target.tenant_id))
        async with self._database.connection() as db:
            began = await erasure.one_minute_ago(db)
        await self._erase_events()
        await self._erase_deliveries(since=TextCursor())
        for _ in range(MAX_FOLLOW_UPS):
            if not await self._erase_deliveries(since=TextCursor(began)):
                break
        if everything:
            await self._erase_webhooks()
            await self._erase_operational()
            await self._repeat(
                partial(
                    erasure_access.erase_records,
                    tenant_id=self._target.tenant_id,
                    limit=RECORDS_PER_STEP,
                )
            )
            await self._repeat(self._erase_own_history)
            await self._repeat(partial(erasure_access.erase_hold, tenant_id=self._target.tenant_id))
        await self._repeat(partial(erasure_confirmations.erase, target=self._target))
        await self._repeat(
            partial(erasure_answers.erase, target=self._target, limit=RECORDS_PER_STEP)
        )
        return self._counts

    async def _count_events(self) -> set[EventId]:
        """The ids of the contact's events; their deliveries count whatever data they hold."""
        found: set[EventId] = set()
        async for events in self._pages.events():
            async with self._database.connection() as db:
                waiting = await erasure_events.count_waiting(db, events)
            self._add(ErasureCounts(events=len(events), waiting=waiting))
            if self._target.contact is not None:
                found.update(events)
        return found

    async def _count_deliveries(self, webhook_id: WebhookId, events: set[EventId]) -> None:
        async for page in self._pages.deliveries(webhook_id, since=TextCursor()):
            selected = await self._pages.select_target(webhook_id, page)
            found = [each for each in page if each.id in selected or each.event_id in events]
            pending = sum(delivery.pending for delivery in found)
            self._add(ErasureCounts(deliveries=len(found), pending=pending))

    async def _erase_events(self) -> None:
        erase = partial(
            erasure_events.erase, tenant_id=self._target.tenant_id, limit=DELIVERIES_PER_STEP
        )
        async for events in self._pages.events():
            await self._repeat(partial(erase, ids=events))

    async def _erase_deliveries(self, *, since: TextCursor) -> int:
        """Erase the target's deliveries from `since` on; returns how many there were."""
        before = self._counts.deliveries
        for webhook_id in await self._webhook_ids():
            async for page in self._pages.deliveries(webhook_id, since=since):
                ids = list(await self._pages.select_target(webhook_id, page))
                erase = partial(erasure_deliveries.erase, webhook_id=webhook_id)
                for start in range(0, len(ids), DELIVERIES_PER_STEP):
                    batch = ids[start : start + DELIVERIES_PER_STEP]
                    await self._repeat(partial(erase, ids=batch))
        return self._counts.deliveries - before

    async def _erase_webhooks(self) -> None:
        erase = partial(erasure_webhooks.erase, tenant_id=self._target.tenant_id)
        for webhook_id in await self._webhook_ids():
            await self._repeat(partial(erase, webhook_id=webhook_id))

    async def _erase_history(self, db: Connection) -> ErasureStep:
        return await webhook_history.erase(db, self._target.tenant_id, limit=RECORDS_PER_STEP)

    async def _erase_own_history(self, db: Connection) -> ErasureStep:
        """What the erasure itself has added, by pausing and deleting webhooks: not counted."""
        return replace(await self._erase_history(db), erased=ErasureCounts())

    async def _erase_operational(self) -> None:
        """Erase what operational events say about the tenant: first those without deliveries."""
        await self._repeat(
            partial(
                erasure_operational.erase_events,
                tenant_id=self._target.tenant_id,
                limit=RECORDS_PER_STEP,
            )
        )
        async for webhook_id, page in self._operational_deliveries():
            ids = [each.id for each in page]
            for start in range(0, len(ids), DELIVERIES_PER_STEP):
                batch = ids[start : start + DELIVERIES_PER_STEP]
                await self._repeat(
                    partial(erasure_deliveries.erase, webhook_id=webhook_id, ids=batch)
                )

    async def _operational_deliveries(
        self,
    ) -> AsyncIterator[tuple[WebhookId, list[StoredDelivery]]]:
        """The deliveries of events about the tenant to operators' webhooks, page by page."""
        tenant_id = self._target.tenant_id
        async with self._database.connection() as db:
            operators = await erasure_operational.list_operators(db, tenant_id)
        for webhook_id in operators:
            async for page in self._pages.deliveries(webhook_id, since=TextCursor()):
                ids = [each.id for each in page]
                self._add_rows_read(len(ids))
                async with self._database.connection() as db:
                    found = await erasure_operational.find_about(db, ids, tenant_id)
                yield webhook_id, [each for each in page if each.id in found]

    async def _repeat(self, step: Callable[[Connection], Awaitable[ErasureStep]]) -> None:
        """Repeat the step, each in a transaction of its own, until no rows remain."""
        deadline = time.monotonic() + self._patience_seconds
        while True:
            async with self._database.transaction() as db:
                done = await step(db)
            self._add(done.erased)
            if not done.remaining:
                return
            if done.erased:
                deadline = time.monotonic() + self._patience_seconds
                continue
            if time.monotonic() > deadline:
                raise WebhookdError(
                    "another transaction keeps some of the rows locked: run it again later"
                )
            await asyncio.sleep(LOCK_POLL_SECONDS)

    async def _webhook_ids(self) -> list[WebhookId]:
        async with self._database.connection() as db:
            return await erasure_webhooks.list_ids(db, self._target.tenant_id)

    def _reset(self) -> None:
        self._rows_read, self._counts = 0, ErasureCounts()

    def _add(self, counts: ErasureCounts) -> None:
        self._counts += counts
        self._report()

    def _add_rows_read(self, rows: int) -> None:
        self._rows_read += rows
        self._report()

    def _report(self) -> None:
        self._on_progress(Progress(self._rows_read, self._counts))
