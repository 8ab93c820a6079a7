"""The cursor of a list: the place where the next page begins, as one opaque string."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import AwareDatetime, BeforeValidator, Field

from daemon.admin.schemas.timestamps import parse_timestamp

INVALID_CURSOR = "must be `next` of another page, an id, or a time with a time zone"
CURSOR_PATTERN = r"^-?[0-9]{1,18}_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Cursor:
    """A page holds the rows before a time, before a row (time and id), or before an id alone."""

    at: datetime | None = None
    id: UUID | None = None

    def __str__(self) -> str:
        """Format a cursor that has both a time and an id: microseconds since 1970, `_`, the id."""
        assert self.at is not None
        return f"{(self.at - EPOCH) // MICROSECOND}_{self.id}"


def parse_cursor(given: str) -> Cursor:
    """Read `next` of another page, an id, or a timestamp. Raises ValueError for anything else."""
    try:
        if re.fullmatch(CURSOR_PATTERN, given):
            microseconds, _, row_id = given.partition("_")
            return Cursor(_from_epoch(int(microseconds)), UUID(row_id))
        return Cursor(id=UUID(given))
    except ValueError:
        pass
    try:
        return Cursor(at=parse_timestamp(given))
    except ValueError:
        raise ValueError(INVALID_CURSOR) from None


def _from_epoch(microseconds: int) -> datetime:
    try:
        return EPOCH + microseconds * MICROSECOND
    except OverflowError:
        return LATEST if microseconds > 0 else EARLIEST


CursorField = Annotated[
    Any,
    BeforeValidator(
        parse_cursor,
        json_schema_input_type=UUID
        | AwareDatetime
        | Annotated[str, Field(json_schema_extra={"pattern": CURSOR_PATTERN})],
    ),
]
