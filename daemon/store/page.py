"""Where a page of a list begins, and which rows belong to it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

FIRST_ID, LAST_ID = UUID(int=0), UUID(int=2**128 - 1)


# For one page: what is asked for may be rare, or nowhere.
LOOKED_AT_ONCE = 20_000


LAST_TIME = datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins: what is older than this time, or as old and has a lesser id."""

    at: datetime = LAST_TIME
    id: UUID = LAST_ID


@dataclass(frozen=True, slots=True)
class Which:
    """What a list is narrowed to; None takes all."""

    type: str | None = None
    status: str | None = None
    since: datetime | None = None
    until: datetime | None = None
