"""
Pruning of single tables, a batch at a time.

A table of millions of rows is pruned by pages (`PagedPruner`), so that rows which must stay are not
read again and again; a table of some thousands, oldest first (`OldestFirstPruner`).
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import NamedTuple, TypeAlias
from uuid import UUID

from daemon.core.errors import StatementTimeoutError
from daemon.store.expired_rows import BEGINNING, ExpiredPage, LaneCursor
from daemon.store.session import Connection

BATCHES_PER_PAGE = 2
# A full pass finds the rows that had to stay when the cursor passed them, and those inserted since
# with an old time.
PASSES_PER_FULL_PASS = 60


class Batch(NamedTuple):
    """`deleted` is None after a search; `is_last` says that the table is done for this round."""

    deleted: int | None
    is_last: bool


class PagedPruner:
    """
    Finds the expired rows of a table page by page, and deletes each page batch by batch.

    `find` and `delete` are those of `store.expired_deliveries` or `store.expired_events`. A pass
    that was interrupted by the end of its round goes on in the next one.
    """

    def __init__(
        self,
        table: str,
        *,
        find: Callable[..., Awaitable[ExpiredPage]],
        delete: Callable[..., Awaitable[int]],
        older_than: timedelta,
    ) -> None:
        self.table = table
        self._find = find
        self._delete = delete
        self._older_than = older_than
        self._passes = 0
        self._expired: list[UUID] = []  # found, and not yet deleted
        self._next_page: LaneCursor | None = None
        # Where this pass begins in each lane; where the next one may; and where it may if this pass
        # is completed.
        self._floor = self._pruned_up_to = BEGINNING
        self._pass_reaches: str | None = None

    async def prune_batch(self, db: Connection, *, limit: int) -> Batch:
        """Delete up to `limit` rows, or search for some. Raises StatementTimeoutError."""
        deleted = None
        if self._expired:
            deleted = await self._delete(db, self._expired[:limit])
            del self._expired[:limit]
        else:
            cursor = self._next_page or self._begin_pass()
            await self._find_page(db, cursor, limit=limit * BATCHES_PER_PAGE)
        return Batch(deleted, is_last=not self._expired and self._next_page is None)

    def _begin_pass(self) -> LaneCursor:
        is_full = self._passes % PASSES_PER_FULL_PASS == 0
        self._passes += 1
        self._floor = BEGINNING if is_full else self._pruned_up_to
        self._pass_reaches = None
        return LaneCursor(at=self._floor)

    async def _find_page(self, db: Connection, cursor: LaneCursor, *, limit: int) -> None:
        try:
            page = await self._find(
                db, cursor, floor=self._floor, older_than=self._older_than, limit=limit
            )
        except StatementTimeoutError:
            self._next_page = None  # begin a new pass: more has expired in the lanes before this
            raise
        self._pass_reaches = self._pass_reaches or page.floor
        self._expired, self._next_page = page.ids, page.next
        if self._next_page is None:
            self._pruned_up_to = self._pass_reaches


@dataclass(frozen=True, slots=True)
class OldestFirstPruner:
    """
    Deletes the oldest rows of a table, as long as a whole batch of them has expired.

    `delete` is one of the functions of `store.retention`.
    """

    table: str
    delete: Callable[..., Awaitable[int]]
    older_than: timedelta

    async def prune_batch(self, db: Connection, *, limit: int) -> Batch:
        """Delete up to `limit` rows. Raises StatementTimeoutError."""
        deleted = await self.delete(db, older_than=self.older_than, limit=limit)
        return Batch(deleted, is_last=deleted < limit)


Pruner: TypeAlias = PagedPruner | OldestFirstPruner
