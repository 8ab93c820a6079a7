"""
Pages of the rows that an erasure covers.

Their size follows the time that it takes to read them, so that no query runs long: a page that
nevertheless took too long is read again as smaller ones, down to single rows.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from math import inf
from typing import TypeVar

from daemon.core.errors import StatementTimeoutError
from daemon.core.model.erasure import ErasureTarget
from daemon.core.model.ids import DeliveryId, EventId, WebhookId
from daemon.core.scheduling.batch_size import BatchSize
from daemon.store import (
    erasure_deliveries,
    erasure_events,
    erasure_operational,
    erasure_webhooks,
)
from daemon.store.database import Database
from daemon.store.erasure import TextCursor
from daemon.store.erasure_deliveries import StoredDelivery
from daemon.store.session import Connection

T = TypeVar("T")

# Pages are of rows with their data; one event may hold megabytes.
FIRST_PAGE, LARGEST_PAGE = 50, 2000
PAGE_SECONDS = 0.2
# Deliveries per page without their data.
DELIVERIES_PER_PAGE = 10_000


class ErasurePages:
    """Reads the rows of `target`; `on_rows_read` receives the number of rows after each page."""

    def __init__(
        self, database: Database, target: ErasureTarget, *, on_rows_read: Callable[[int], None]
    ) -> None:
        self._database = database
        self._target = target
        self._on_rows_read = on_rows_read
        self._page_size = BatchSize(least=1, most=LARGEST_PAGE, seconds=PAGE_SECONDS)
        self._page_size.size = FIRST_PAGE

    async def events(self) -> AsyncIterator[list[EventId]]:
        """The target's events, page by page."""
        cursor = TextCursor()
        while True:
            page = await self._read(partial(self._find_events, cursor))
            self._on_rows_read(page.rows_read)
            if not page.rows_read:
                return
            if page.ids:
                yield page.ids
            cursor = page.next

    async def deliveries(
        self, webhook_id: WebhookId, *, since: TextCursor
    ) -> AsyncIterator[list[StoredDelivery]]:
        """
        All of the webhook's deliveries from `since` on, page by page.

        Reads until a page is empty, not merely short: the next attempt of a delivery has a later
        time than the attempt before it, and may be added at any moment.
        """
        cursor = since
        while True:
            async with self._database.connection() as db:
                page = await erasure_deliveries.find(
                    db, webhook_id, cursor, limit=DELIVERIES_PER_PAGE
                )
            if not page.deliveries:
                return
            yield page.deliveries
            cursor = page.next

    async def select_target(
        self, webhook_id: WebhookId, deliveries: Sequence[StoredDelivery]
    ) -> set[DeliveryId]:
        """Those of a page of a webhook's deliveries that belong to the target, by their data."""
        ids = [delivery.id for delivery in deliveries]
        contact = self._target.contact
        if contact is None:
            self._on_rows_read(len(ids))
            return set(ids)
        selected: set[DeliveryId] = set()

        async def find_first(db: Connection, size: int) -> tuple[int, set[DeliveryId]]:
            page = ids[:size]
            found = await erasure_deliveries.find_of_contact(db, webhook_id, page, contact)
            return len(page), set(found)

        while ids:
            count, found = await self._read(find_first)
            del ids[:count]
            selected |= found
            self._on_rows_read(count)
        return selected

    async def _find_events(
        self, cursor: TextCursor, db: Connection, size: int
    ) -> erasure_events.EventPage:
        return await erasure_events.find(db, self._target, cursor, limit=size)

    async def _read(self, find: Callable[[Connection, int], Awaitable[T]]) -> T:
        """Read a page of the present size. Raises StatementTimeoutError for a single row."""
        while True:
            size, began = self._page_size.size, time.monotonic()
            try:
                async with self._database.connection() as db:
                    page = await find(db, size)
            except StatementTimeoutError:
                self._page_size.took(inf)
                if size == 1:
                    raise
                continue
            self._page_size.took(time.monotonic() - began)
            return page

    async def webhook_ids(self) -> list[WebhookId]:
        """The ids of the tenant's webhooks."""
        async with self._database.connection() as db:
            return await erasure_webhooks.list_ids(db, self._target.tenant_id)

    async def operational_deliveries(
        self,
    ) -> AsyncIterator[tuple[WebhookId, list[StoredDelivery]]]:
        """The deliveries of events about the tenant to operators' webhooks, page by page."""
        tenant_id = self._target.tenant_id
        async with self._database.connection() as db:
            operators = await erasure_operational.list_operators(db, tenant_id)
        for webhook_id in operators:
            async for page in self.deliveries(webhook_id, since=TextCursor()):
                ids = [each.id for each in page]
                self._on_rows_read(len(ids))
                async with self._database.connection() as db:
                    found = await erasure_operational.find_about(db, ids, tenant_id)
                yield webhook_id, [each for each in page if each.id in found]
