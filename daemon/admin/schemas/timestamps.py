"""Timestamps in requests: RFC 3339 with a time zone, converted to UTC."""

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator

INVALID_TIMESTAMP = "must be a time with a time zone, such as 2025-11-25T14:30:00Z"
# RFC 3339, section 5.6, in upper case or lower case.
RFC_3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+ -]\d{2}:\d{2})", re.ASCII
)


def parse_timestamp(given: object) -> datetime:
    """
    Read an RFC 3339 timestamp as a datetime in UTC.

    A time near year 1 or 9999 that its offset moves out of the calendar keeps its local value.
    Raises ValueError for anything else.
    """
    if not isinstance(given, str) or not RFC_3339.fullmatch(given):
        raise ValueError(INVALID_TIMESTAMP)
    # An unescaped plus in a query arrives as a space.
    text = re.sub(r" (\d{2}:\d{2})$", r"+\1", given.upper())
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(INVALID_TIMESTAMP) from None
    try:
        return at.astimezone(UTC)
    except OverflowError:
        return at.replace(tzinfo=UTC)


Timestamp = Annotated[
    AwareDatetime, BeforeValidator(parse_timestamp, json_schema_input_type=AwareDatetime)
]
