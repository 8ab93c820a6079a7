"""
Erasure of one contact's data, or of everything of a tenant, while daemons and applications work.

Rows that are added meanwhile are followed up: deliveries of events that are being fanned out, and
next attempts of deliveries whose results are being stored.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from daemon.core.errors import DatabaseBusyError, StatementTimeoutError, WebhookdError
from daemon.core.model.erasure import ErasureCounts, ErasureTarget
from daemon.maintenance.erasure_pages import ErasurePages
from daemon.maintenance.erasure_progress import Progress, RunningCounts, ignore_progress
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
from daemon.store.session import Connection

ROWS_PER_STEP = DELIVERIES_PER_STEP = 1000
RECORDS_PER_STEP = 1000
LOCK_POLL_SECONDS = 0.1
LOCK_PATIENCE_SECONDS = 30.0
# How often rows that were added during the erasure are followed up.
MAX_FOLLOW_UPS = 10

T = TypeVar("T")


class Erasure:
    """
    Erases the data of `target`, once.

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
        self._patience_seconds = patience_seconds
        self._running = RunningCounts(on_progress)
        self._at_once = ROWS_PER_STEP
        self._pages = ErasurePages(database, target, on_rows_read=self._running.add_rows_read)

    async def erase(self) -> ErasureCounts:
        """
        Erase the target's data, for good once this returns; returns the counts of erased rows.

        Revokes the tenant's tokens and portal links, and pauses its webhooks, first when everything
        is to be erased. Raises WebhookdError when another transaction keeps rows locked for
        `patience_seconds`. The rows erased until then stay erased, and another run continues.
        """
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
        return self._running.counts

    async def _erase_events(self) -> None:
        erase = partial(
            erasure_events.erase, tenant_id=self._target.tenant_id, limit=DELIVERIES_PER_STEP
        )
        async for events in self._pages.events():
            await self._erase_some(events, erase)

    async def _erase_deliveries(self, *, since: TextCursor) -> int:
        """Erase the target's deliveries from `since` on; returns how many there were."""
        before = self._running.counts.deliveries
        for webhook_id in await self._pages.webhook_ids():
            async for page in self._pages.deliveries(webhook_id, since=since):
                ids = list(await self._pages.select_target(webhook_id, page))
                erase = partial(erasure_deliveries.erase, webhook_id=webhook_id)
                await self._erase_some(ids, erase)
        return self._running.counts.deliveries - before

    async def _erase_webhooks(self) -> None:
        erase = partial(erasure_webhooks.erase, tenant_id=self._target.tenant_id)
        for webhook_id in await self._pages.webhook_ids():
            await self._repeat(partial(erase, webhook_id=webhook_id))

    async def _erase_history(self, db: Connection) -> ErasureStep:
        return await webhook_history.erase(db, self._target.tenant_id, limit=RECORDS_PER_STEP)

    async def _erase_own_history(self, db: Connection) -> ErasureStep:
        """Rows that the erasure itself added, by pausing and deleting webhooks: not counted."""
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
        async for webhook_id, page in self._pages.operational_deliveries():
            ids = [each.id for each in page]
            await self._erase_some(ids, partial(erasure_deliveries.erase, webhook_id=webhook_id))

    async def _erase_some(
        self, ids: Sequence[T], erase: Callable[..., Awaitable[ErasureStep]]
    ) -> None:
        """Erase rows in steps; in smaller ones after one that took too long, of megabytes each."""
        left = list(ids)
        while left:
            some = left[: self._at_once]
            try:
                await self._repeat(partial(erase, ids=some))
            except StatementTimeoutError:
                if len(some) == 1:
                    raise
                self._at_once = max(1, len(some) // 8)
                continue
            del left[: len(some)]
            self._at_once = min(ROWS_PER_STEP, 2 * self._at_once)

    async def _repeat(self, step: Callable[[Connection], Awaitable[ErasureStep]]) -> None:
        """Repeat the step, each in a transaction of its own, until no rows remain."""
        deadline = time.monotonic() + self._patience_seconds
        while True:
            try:
                async with self._database.transaction() as db:
                    done = await step(db)
            except DatabaseBusyError:  # such as a deadlock with the application
                done = ErasureStep(ErasureCounts(), remaining=1)
            self._running.add(done.erased)
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
