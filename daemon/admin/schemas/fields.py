"""What all shapes are made of: texts, times and names as the API takes them, and two bases."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
)
from pydantic_core import PydanticKnownError

from daemon.config import parse_duration
from daemon.core.matching.limits import MOST_TYPES
from daemon.core.policy.email_addresses import parse_address
from daemon.core.policy.headers import LONGEST_VALUE

NO_MOMENT = "must be a time with its zone, such as 2025-11-25T14:30:00Z"
NO_PLACE = "must be `next` of another page, an id, or a time with its zone"
PLACE = r"^-?[0-9]{1,18}_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
EARLIEST, LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
LONGEST_PEM = 64 * 1024
OVERLAP = (
    r"^((0|[1-9][0-9]{0,5})s|(0|[1-9][0-9]{0,3})m|(0|[1-9][0-9]?|[1-6][0-9]{2})h"
    r"|([0-9]|[12][0-9]|30)d)$"
)
LIFETIME = r"^(([1-9]|1[0-9]|2[0-4])h|([1-9]|[1-9][0-9]|[1-9][0-9]{2}|1[0-3][0-9]{2})m)$"
SHORTEST_LIFE, LONGEST_LIFE = 60, 86_400
# Section 5.6, with the upper-case letters that everybody writes and the lower-case ones it allows.
RFC_3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+ -]\d{2}:\d{2})", re.ASCII
)


def _moment(given: object) -> datetime:
    """In UTC; what a zone carries out of the calendar is at its nearer end. Raises ValueError."""
    if not isinstance(given, str) or not RFC_3339.fullmatch(given):
        raise ValueError(NO_MOMENT)
    # In a query an unescaped plus is a space.
    text = re.sub(r" (\d{2}:\d{2})$", r"+\1", given.upper())
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(NO_MOMENT) from None
    try:
        return at.astimezone(UTC)
    except OverflowError:
        return at.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Before:
    """Where a page begins: at a time, behind a row of it, or behind the row of an id alone."""

    at: datetime | None = None
    id: UUID | None = None

    def __str__(self) -> str:
        """As `next` has it, and `before` takes it; both must be there."""
        assert self.at is not None
        return f"{(self.at - EPOCH) // MICROSECOND}_{self.id}"


def _before(given: str) -> Before:
    try:
        if re.fullmatch(PLACE, given):
            microseconds, _, row = given.partition("_")
            return Before(_after_epoch(int(microseconds)), UUID(row))
        return Before(id=UUID(given))
    except ValueError:
        pass
    try:
        return Before(at=_moment(given))
    except ValueError:
        raise ValueError(NO_PLACE) from None


def _after_epoch(microseconds: int) -> datetime:
    try:
        return EPOCH + microseconds * MICROSECOND
    except OverflowError:
        return LATEST if microseconds > 0 else EARLIEST


def _mailed_to(text: str) -> str:
    parse_address(text)
    return text


def _overlap(given: object) -> str:
    if not isinstance(given, str) or not re.fullmatch(OVERLAP, given):
        raise ValueError("must be a duration from 0s to 30d, such as 24h")
    return given


def _lifetime_seconds(given: object) -> int:
    """Of seconds, to JSON Schema also as 60.0, or of a duration in words."""
    seconds: object = given
    if isinstance(given, float) and given.is_integer():
        seconds = int(given)
    elif isinstance(given, str) and re.fullmatch(LIFETIME, given):
        seconds = int(parse_duration(given).total_seconds())
    if type(seconds) is not int or not SHORTEST_LIFE <= seconds <= LONGEST_LIFE:
        raise ValueError("must be from a minute to a day: seconds, or a duration such as 1h")
    return seconds


def shaped(pattern: str, sentence: str, **more: Any) -> tuple[AfterValidator, Any]:
    """A text of this pattern (ECMA 262 and Python alike), and what is said of any other."""
    compiled = re.compile(pattern)

    def check(text: str) -> str:
        if not compiled.search(text):
            raise ValueError(sentence)
        return text

    return AfterValidator(check), Field(json_schema_extra={"pattern": pattern, **more})


def at_most(most: int) -> BeforeValidator:
    """
    How many entries a list or an object may have, judged before any of them is.

    The description tells it in words: who tries a schema out would go to each such bound.
    """

    def check(given: object) -> object:
        if isinstance(given, dict | list) and len(given) > most:
            kind = "Dictionary" if isinstance(given, dict) else "List"
            sizes = {"max_length": most, "actual_length": len(given)}
            raise PydanticKnownError("too_long", {"field_type": kind, **sizes})
        return given

    return BeforeValidator(check)


ORDINARY_URL = (
    r"^https://([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,10}(:8?443)?(/[A-Za-z0-9._~/-]*)?$"
)

# Of mail addresses (RFC 5321, section 4.1.2).
ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"

# PostgreSQL stores every character but NUL.
Text = Annotated[str, *shaped(r"^[^\x00]*$", "has a NUL character, which cannot be stored")]
Name = Annotated[Text, Field(min_length=1, max_length=255)]
EndpointUrl = Annotated[
    str,
    Field(
        min_length=1,
        json_schema_extra={
            # International names and more are taken too: the egress rules judge.
            "pattern": ORDINARY_URL,
            "examples": ["https://example.com/webhooks/penguinmails"],
        },
    ),
]
EventTypePattern = Annotated[
    str,
    Field(min_length=1, max_length=100, description="A type, or a wildcard: `email.*`, `*`."),
    *shaped(
        r"^([A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(\.\*)?|\*)$",
        "is neither an event type, such as email.opened, nor a wildcard, such as email.*",
    ),
]
EventTypePatterns = Annotated[list[EventTypePattern], Field(max_length=MOST_TYPES)]
Moment = Annotated[AwareDatetime, BeforeValidator(_moment, json_schema_input_type=AwareDatetime)]
PlaceTaken = Annotated[
    Any,
    BeforeValidator(
        _before,
        json_schema_input_type=UUID
        | AwareDatetime
        | Annotated[str, Field(json_schema_extra={"pattern": PLACE})],
    ),
]
MailAddress = Annotated[
    str,
    AfterValidator(_mailed_to),
    Field(
        json_schema_extra={
            # International domains are taken too; an address that is too long is not.
            "pattern": rf"^{ATOM}(\.{ATOM})*@{LABEL}(\.{LABEL})*$",
            "examples": ["ops@example.com"],
        },
    ),
]
# These two are judged together, by the rules of `headers`.
HeaderName = Annotated[
    str, Field(json_schema_extra={"pattern": r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$"})
]
HeaderValue = Annotated[
    str,
    Field(
        json_schema_extra={
            "pattern": r"^([!-~]([\t -~]*[!-~])?)?$",
            "maxLength": LONGEST_VALUE,
        }
    ),
]
Overlap = Annotated[
    str,
    BeforeValidator(_overlap),
    Field(json_schema_extra={"pattern": OVERLAP, "examples": ["24h"]}),
]
LifetimeSeconds = Annotated[
    int,
    BeforeValidator(
        _lifetime_seconds,
        json_schema_input_type=Annotated[int, Field(ge=SHORTEST_LIFE, le=LONGEST_LIFE)]
        | Annotated[str, Field(json_schema_extra={"pattern": LIFETIME, "examples": ["15m"]})],
    ),
]
