"""A cursor: a place in rows that are ordered by time, and by id where times are equal."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

FIRST_ID, LAST_ID = UUID(int=0), UUID(int=2**128 - 1)
LAST_TIME = datetime(9999, 12, 31, tzinfo=UTC)
RESOLUTION = timedelta(microseconds=1)  # of PostgreSQL's times, and of Python's


@dataclass(frozen=True, slots=True)
class Cursor:
    """
    The key of the row at which a page ends; that row itself is not part of the next page.

    By default it is behind every row, where a list begins that goes from the newest to the oldest.
    """

    at: datetime = LAST_TIME
    id: UUID = LAST_ID


def cursor_before(time: datetime) -> Cursor:
    """The cursor from which rows of `time` and later follow, in ascending order."""
    return Cursor(time - RESOLUTION, LAST_ID)
