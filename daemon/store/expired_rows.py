"""
Pages and batches of expired rows: found in bounded reads, deleted by id.

A table is read lane by lane (the rows of one webhook or tenant), in the order of time and id. A
read covers at most `limit` rows of so many `lanes`, whether or not they may be deleted, and returns
the position of the next one. Deleted rows leave dead index entries until vacuum; so a lane is not
read from its beginning each time. A row without a time never expires.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from daemon.store.errors import translated
from daemon.store.session import Connection

FIRST_LANE, FIRST_ID = UUID(int=2**128 - 1), UUID(int=0)
BEGINNING = "-infinity"


@dataclass(frozen=True, slots=True)
class LaneCursor:
    """
    The position that a page follows: a time and an id within a lane.

    Times are PostgreSQL's own text: the application may write some that Python cannot represent.
    """

    lane: UUID = FIRST_LANE
    at: str = BEGINNING
    id: UUID = FIRST_ID


@dataclass(frozen=True, slots=True)
class ExpiredPage:
    """
    The ids of rows that may be deleted, and the cursor of the next page; None after the last page.

    After a complete pass, the next pass may start each lane at the `floor` of this pass's first
    page. It lies a minute before the expiry time of that moment, because an attempt has the time
    at which it began, and its row appears when its result is stored.
    """

    ids: list[UUID]
    next: LaneCursor | None
    floor: str


async def find_page(
    db: Connection,
    query: str,
    cursor: LaneCursor,
    *more: object,
    floor: str,
    older_than: timedelta,
    limit: int,
    lanes: int,
) -> ExpiredPage:
    """
    Run a page's query, which reads the lanes after that of `cursor` from `floor` on.

    `more` are parameters of the query that follow the common ones.
    """
    with translated():
        row = await db.fetchrow(
            query, cursor.lane, cursor.at, cursor.id, floor, older_than, limit, lanes, *more
        )
    following = LaneCursor(row["lane"], row["at"], row["id"]) if row["lane"] else None
    return ExpiredPage(row["ids"], following, row["floor"])


async def delete_rows(db: Connection, query: str, *args: object) -> int:
    """Run a DELETE; returns the number of rows deleted."""
    with translated():
        status = await db.execute(query, *args)
    return int(status.split()[-1])
