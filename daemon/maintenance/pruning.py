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

import structlog

from daemon.core.errors import StatementTimeoutError
from daemon.store.expired_rows import BEGINNING, ExpiredPage, LaneCursor
from daemon.store.session import Connection

log = structlog.get_logger()

BATCHES_PER_PAGE = 2
MOST_DELETED, MOST_LANES = 500, 300  # by one statement; after one that took too long, FEWER
FEWER = 16
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

    `find`, `delete` and `lane_behind` are those of `store.expired_deliveries` or
    `store.expired_events`. A pass that was interrupted by the end of its round goes on in the next
    one. After a statement that took too long, the next one is about less; what takes too long alone
    is left out, and met again in the next pass: it keeps nothing else from being pruned.
    """

    def __init__(
        self,
        table: str,
        *,
        find: Callable[..., Awaitable[ExpiredPage]],
        delete: Callable[..., Awaitable[int]],
        lane_behind: Callable[[Connection, UUID], Awaitable[UUID | None]],
        older_than: timedelta,
    ) -> None:
        self.table = table
        self._find = find
        self._delete = delete
        self._lane_behind = lane_behind
        self._older_than = older_than
        self._passes = 0
        self._left_out = False  # anything, in this pass
        self._expired: list[UUID] = []  # found, and not yet deleted
        self._most_deleted, self._most_lanes = MOST_DELETED, MOST_LANES  # by one statement
        self._next_page: LaneCursor | None = None
        self._slow_lane: UUID | None = None  # behind which the next page begins
        # Where this pass begins in each lane; where the next one may; and where it may if this pass
        # is completed.
        self._floor = self._pruned_up_to = BEGINNING
        self._pass_reaches: str | None = None

    @property
    def is_done(self) -> bool:
        """Whether nothing is left of the pass."""
        return not self._expired and self._next_page is None and self._slow_lane is None

    async def prune_batch(self, db: Connection, *, limit: int) -> Batch:
        """Delete up to `limit` rows, or search for some. Raises StatementTimeoutError."""
        deleted = None
        if self._expired:
            deleted = await self._delete_some(db, self._expired[: min(limit, self._most_deleted)])
        elif cursor := await self._next_cursor(db):
            await self._find_page(db, cursor, limit=limit * BATCHES_PER_PAGE)
        return Batch(deleted, is_last=self.is_done)

    async def _delete_some(self, db: Connection, ids: list[UUID]) -> int:
        try:
            deleted = await self._delete(db, ids)
        except StatementTimeoutError:
            self._most_deleted = max(1, len(ids) // 2)
            if len(ids) == 1:
                log.warning("retention.row_left_out", table=self.table, id=str(ids[0]))
                self._left_out = True
                del self._expired[0]
            raise
        del self._expired[: len(ids)]
        self._most_deleted = min(MOST_DELETED, 2 * self._most_deleted)
        return deleted

    async def _next_cursor(self, db: Connection) -> LaneCursor | None:
        """Where the next page begins; None if that is behind the last lane."""
        if self._slow_lane is None:
            return self._next_page or self._begin_pass()
        lane = await self._lane_behind(db, self._slow_lane)
        self._slow_lane = None
        if lane is None:
            return None
        self._next_page = LaneCursor(lane, self._floor)
        return self._next_page

    def _begin_pass(self) -> LaneCursor:
        is_full = self._left_out or self._passes % PASSES_PER_FULL_PASS == 0
        self._passes += 1
        self._left_out = False
        self._floor = BEGINNING if is_full else self._pruned_up_to
        self._pass_reaches = None
        self._next_page = LaneCursor(at=self._floor)
        return self._next_page

    async def _find_page(self, db: Connection, cursor: LaneCursor, *, limit: int) -> None:
        try:
            page = await self._find(
                db,
                cursor,
                floor=self._floor,
                older_than=self._older_than,
                limit=limit,
                lanes=self._most_lanes,
            )
        except StatementTimeoutError:
            if self._most_lanes == 1:
                log.warning("retention.lane_left_out", table=self.table, after=str(cursor.lane))
                self._left_out = True
                self._slow_lane, self._next_page = cursor.lane, None
            self._most_lanes = max(1, self._most_lanes // FEWER)
            raise
        self._most_lanes = min(MOST_LANES, 2 * self._most_lanes)
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
    is_done = True  # for this round, after a statement that took too long

    async def prune_batch(self, db: Connection, *, limit: int) -> Batch:
        """Delete up to `limit` rows. Raises StatementTimeoutError."""
        deleted = await self.delete(db, older_than=self.older_than, limit=limit)
        return Batch(deleted, is_last=deleted < limit)


Pruner: TypeAlias = PagedPruner | OldestFirstPruner
