"""
The eraser: makes a database forget one contact or one tenant, while daemons and others work on it.

What is under way meanwhile is caught up with: deliveries of what was just being fanned out, next
attempts of what was just being settled.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial

from daemon.core.errors import WebhookdError
from daemon.core.model.erasure import ErasureCounts, ErasureTarget
from daemon.core.model.ids import DeliveryId, EventId, WebhookId
from daemon.core.scheduling.batch_size import BatchSize
from daemon.store import erasure
from daemon.store.database import Database
from daemon.store.erasure import Attempt, Bite, Place
from daemon.store.session import Connection

# One event may hold megabytes.
SMALLEST_PAGE, LARGEST_PAGE = 50, 2000
PAGE_SECONDS = 0.2
DELIVERIES_AT_ONCE = 1000
IDS_AT_ONCE = 10_000
HELD_REST_SECONDS = 0.1
PATIENCE_SECONDS = 30.0
# What comes in while we are at it is followed only so often.
MOST_ROUNDS = 10


@dataclass(frozen=True, slots=True)
class Progress:
    """So many rows were looked at, and what of them was found or erased."""

    seen: int
    tally: ErasureCounts


def unwatched(_: Progress) -> None:
    """Tell nobody."""


class Erasure:
    """
    Counts or erases what is stored of `whose`; `tell` hears of the progress.

    Everything of a tenant's includes its webhooks, all of which are paused first. Erasing raises
    WebhookdError when somebody else's transaction holds rows and does not let go; what was erased
    until then stays so, and another run goes on.
    """

    def __init__(
        self,
        database: Database,
        whose: ErasureTarget,
        *,
        tell: Callable[[Progress], None] = unwatched,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self._database = database
        self._whose = whose
        self._tell = tell
        self._patience_seconds = patience_seconds
        self._appetite = BatchSize(least=SMALLEST_PAGE, most=LARGEST_PAGE, seconds=PAGE_SECONDS)
        self._seen = 0
        self._tally = ErasureCounts()

    async def known(self) -> bool:
        """Whether there is such a tenant."""
        async with self._database.connection() as db:
            return await erasure.knows(db, self._whose.tenant_id)

    async def count(self) -> ErasureCounts:
        """What `erase` would erase; changes nothing."""
        self._begin()
        named: set[EventId] = set()
        async for events in self._events():
            async with self._database.connection() as db:
                waiting = await erasure.count_waiting(db, events)
            self._found(ErasureCounts(events=len(events), waiting=waiting))
            if self._whose.contact is not None:
                named.update(events)
        for webhook_id in await self._webhooks():
            async for attempts in self._deliveries(webhook_id, Place()):
                naming = await self._naming(attempts)
                meant = [each for each in attempts if each.id in naming or each.event_id in named]
                pending = sum(attempt.pending for attempt in meant)
                self._found(ErasureCounts(deliveries=len(meant), pending=pending))
            if self._whose.contact is None:
                async with self._database.connection() as db:
                    self._found(await erasure.count_records(db, webhook_id))
        return self._tally

    async def erase(self) -> ErasureCounts:
        """Erase it, for good when this returns; what it was."""
        self._begin()
        if self._whose.contact is None:
            pause = partial(erasure.pause, tenant_id=self._whose.tenant_id)
            await self._until_none_is_left(pause)
        async with self._database.connection() as db:
            began = await erasure.a_moment_ago(db)
        await self._erase_events()
        await self._erase_deliveries(Place())
        for _ in range(MOST_ROUNDS):
            if not await self._erase_deliveries(Place(began)):
                break
        if self._whose.contact is None:
            await self._erase_webhooks()
        return self._tally

    def _begin(self) -> None:
        self._seen, self._tally = 0, ErasureCounts()

    def _found(self, tally: ErasureCounts) -> None:
        self._tally += tally
        self._tell(Progress(self._seen, self._tally))

    async def _erase_events(self) -> None:
        erase = partial(
            erasure.erase_events, tenant_id=self._whose.tenant_id, limit=DELIVERIES_AT_ONCE
        )
        async for events in self._events():
            await self._until_none_is_left(partial(erase, ids=events))

    async def _erase_deliveries(self, since: Place) -> int:
        """Erase the deliveries that are meant, of this time and later; how many there were."""
        before = self._tally.deliveries
        for webhook_id in await self._webhooks():
            async for attempts in self._deliveries(webhook_id, since):
                ids = list(await self._naming(attempts))
                for start in range(0, len(ids), DELIVERIES_AT_ONCE):
                    some = ids[start : start + DELIVERIES_AT_ONCE]
                    await self._until_none_is_left(partial(erasure.erase_deliveries, ids=some))
        return self._tally.deliveries - before

    async def _erase_webhooks(self) -> None:
        erase = partial(erasure.erase_webhook, tenant_id=self._whose.tenant_id)
        for webhook_id in await self._webhooks():
            await self._until_none_is_left(partial(erase, webhook_id=webhook_id))

    async def _until_none_is_left(self, bite: Callable[[Connection], Awaitable[Bite]]) -> None:
        give_up = time.monotonic() + self._patience_seconds
        while True:
            async with self._database.transaction() as db:
                step = await bite(db)
            self._found(step.erased)
            if not step.left:
                return
            if step.erased:
                give_up = time.monotonic() + self._patience_seconds
                continue
            if time.monotonic() > give_up:
                raise WebhookdError(
                    "somebody else's transaction holds some of the rows: run it again later"
                )
            await asyncio.sleep(HELD_REST_SECONDS)

    async def _webhooks(self) -> list[WebhookId]:
        async with self._database.connection() as db:
            return await erasure.webhooks_of(db, self._whose.tenant_id)

    async def _events(self) -> AsyncIterator[list[EventId]]:
        """Those of the tenant's events that are meant, page by page."""
        place = Place()
        while True:
            began = time.monotonic()
            async with self._database.connection() as db:
                page = await erasure.events(db, self._whose, place, limit=self._appetite.size)
            self._appetite.took(time.monotonic() - began)
            self._looked_at(page.seen)
            if not page.seen:
                return
            if page.ids:
                yield page.ids
            place = page.next

    async def _deliveries(
        self, webhook_id: WebhookId, place: Place
    ) -> AsyncIterator[list[Attempt]]:
        """
        A webhook's deliveries behind `place`, page by page.

        Until a page is empty, be it after a short one: a next attempt has a later time than the
        one it follows.
        """
        while True:
            async with self._database.connection() as db:
                page = await erasure.deliveries(db, webhook_id, place, limit=IDS_AT_ONCE)
            if not page.attempts:
                return
            yield page.attempts
            place = page.next

    async def _naming(self, attempts: Sequence[Attempt]) -> set[DeliveryId]:
        """Those of the deliveries that are meant, going by their own copies of the data."""
        ids = [attempt.id for attempt in attempts]
        contact = self._whose.contact
        if contact is None:
            self._looked_at(len(ids))
            return set(ids)
        naming: set[DeliveryId] = set()
        while ids:
            some, ids = ids[: self._appetite.size], ids[self._appetite.size :]
            began = time.monotonic()
            async with self._database.connection() as db:
                naming.update(await erasure.naming(db, some, contact))
            self._appetite.took(time.monotonic() - began)
            self._looked_at(len(some))
        return naming

    def _looked_at(self, rows: int) -> None:
        self._seen += rows
        self._tell(Progress(self._seen, self._tally))
