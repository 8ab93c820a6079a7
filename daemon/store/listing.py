"""
Shared by the lists of events and of attempts: filter, cursor, and bounded reading.

Lists go from the newest row to the oldest. A page continues where the last one ended, so that rows
inserted meanwhile shift nothing.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from daemon.core.model.cursor import Cursor
from daemon.store.session import Connection

# Read for one page: the rows that a filter selects may be rare, or there may be none.
MAX_ROWS_READ = 20_000


@dataclass(frozen=True, slots=True)
class ListFilter:
    """The rows that a list shows; None selects all. `since` is inclusive, `until` is not."""

    type: str | None = None
    status: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def find_last_row_read(table: str, *, owner: str, time: str) -> str:
    """SQL for `last_row_read`; `owner` and `time` name columns of `table`."""
    return f"""
    SELECT {time} AS at, id
      FROM {table}
     WHERE {owner} = $1
       AND {time} <= $2 AND ({time}, id) < ($2, $3)
       AND {time} >= coalesce($4, '-infinity'::timestamptz)
       AND {time} < coalesce($5, 'infinity'::timestamptz)
     ORDER BY {time} DESC, id DESC
    OFFSET $6 LIMIT 1
"""  # noqa: S608  made of constants only


async def last_row_read(
    db: Connection, query: str, owner: UUID, selected: ListFilter, *, before: Cursor
) -> Cursor | None:
    """Return where a page ended that read MAX_ROWS_READ rows; None if there were fewer."""
    row = await db.fetchrow(
        query,
        *(owner, before.at, before.id, selected.since, selected.until, MAX_ROWS_READ - 1),
    )
    return None if row is None else Cursor(row["at"], row["id"])
