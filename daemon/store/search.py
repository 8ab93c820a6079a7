"""
Shared by searches: one looks at rows, newest first, in steps, until its time is over.

The rule: whatever the rows are and however few match, a page costs a bounded time, and the next one
continues where it ended.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import asyncpg

from daemon.core.model.cursor import Cursor
from daemon.store.session import Connection

# After so long, or so many rows, a page ends though it is not full.
PAGE_SECONDS = 0.12
MOST_ROWS_LOOKED_AT = 50_000
# A step that takes longer is cancelled, and a smaller one follows.
LIMIT_STEP = "SET LOCAL statement_timeout = '300ms'"
RESET_LIMIT = "SET LOCAL statement_timeout = DEFAULT"
FIRST_ROWS, FEWEST_ROWS, MOST_ROWS = 500, 1, 4000  # of one step
QUICK_SECONDS = 0.03

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class FoundPage(Generic[Row]):
    """
    The rows that were found, newest first, and the cursor of the next page.

    The cursor is None after the last page; else the rows before it were looked at, no others.
    """

    rows: list[Row]
    following: Cursor | None


@dataclass(frozen=True, slots=True)
class Looked(Generic[Row]):
    """
    The matches of one step among the `count` rows that it looked at.

    `cursor` is that of the next step; None if no rows are left.
    """

    rows: list[Row]
    cursor: Cursor | None
    count: int


@dataclass(slots=True)
class StepSize:
    """How many `rows` the next step looks at, and whether there may be another one."""

    rows: int = FIRST_ROWS
    _looked_at: int = 0
    _advanced: bool = False
    _began: float = field(default_factory=time.monotonic)

    @property
    def exhausted(self) -> bool:
        """Whether the page ends, whatever was found; it has advanced then."""
        is_over = time.monotonic() - self._began > PAGE_SECONDS
        return self._advanced and (is_over or self._looked_at >= MOST_ROWS_LOOKED_AT)

    def took(self, seconds: float, count: int) -> None:
        """Note a step; quick ones are followed by larger ones."""
        self._advanced = True
        self._looked_at += count
        if seconds < QUICK_SECONDS:
            self.rows = min(MOST_ROWS, 2 * self.rows)
        elif seconds > 2 * QUICK_SECONDS:
            self.rows = max(FEWEST_ROWS, self.rows // 2)

    def took_too_long(self) -> None:
        """Note that a step was cancelled."""
        self.rows = max(FEWEST_ROWS, self.rows // 16)


async def find_page(
    look: Callable[[Cursor, int, int], Awaitable[Looked[Row] | None]],
    *,
    before: Cursor,
    limit: int,
    cursor_of: Callable[[Row], Cursor],
) -> FoundPage[Row]:
    """
    Look at rows from `before` on, step by step, until `limit` are found or the page's time is over.

    `look` takes a cursor, how many rows to look at, and how many to return at most; it returns None
    if that took too long.
    """
    found: list[Row] = []
    size, cursor = StepSize(), before
    while not size.exhausted:
        began = time.monotonic()
        looked = await look(cursor, size.rows, limit + 1 - len(found))
        if looked is None:
            size.took_too_long()
            continue
        found += looked.rows
        if len(found) > limit:
            return FoundPage(found[:limit], cursor_of(found[limit - 1]))
        if looked.cursor is None:
            return FoundPage(found, None)
        cursor = looked.cursor
        size.took(time.monotonic() - began, looked.count)
    return FoundPage(found, cursor)


async def fetch_step(db: Connection, query: str, *args: object) -> list[Any] | None:
    """Fetch the rows of one step; None if it takes too long."""
    outlives_step = db.is_in_transaction()
    try:
        async with db.transaction():
            await db.execute(LIMIT_STEP)
            rows: list[Any] = await db.fetch(query, *args)
            if outlives_step:
                await db.execute(RESET_LIMIT)
            return rows
    except (asyncpg.QueryCanceledError, asyncpg.ProgramLimitExceededError):
        return None
