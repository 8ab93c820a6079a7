"""Event filters in requests, within the limits of `core.matching`: contract, section 3."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, PlainValidator, model_validator

from daemon.admin.schemas.base import RequestModel
from daemon.admin.schemas.fields import EventTypePatterns, Text, max_entries
from daemon.core.matching.limits import (
    LONGEST_TEXT,
    MOST_IDS,
    MOST_PATHS,
    MOST_SEGMENTS,
    MOST_VALUES,
)

# Built once: `str | int | float` within a loop costs more than the comparison.
_NUMBER_OR_TEXT = (str, int, float)
_MAY_HAVE_FLOATS = (float, dict, list)


def _id(given: object) -> object:
    if isinstance(given, _NUMBER_OR_TEXT) and not isinstance(given, bool):
        return given
    raise ValueError("must be a string or a number")


def _path(text: str) -> str:
    segments = text.split(".", MOST_SEGMENTS)
    if "\x00" in text or not all(segments) or len(segments) > MOST_SEGMENTS:
        raise ValueError(
            "is not a path into the data, such as contact.tags, "
            f"or has more than {MOST_SEGMENTS} segments"
        )
    return text


def _filter_value(given: object) -> object:
    values = given if isinstance(given, list) else [given]
    if not 0 < len(values) <= MOST_VALUES:
        raise ValueError(f"must have from 1 to {MOST_VALUES} values")
    for value in values:
        if value is not None and not isinstance(value, _NUMBER_OR_TEXT):
            raise ValueError("must be a string, a number, true, false, null, or a list of these")
    return given


Number = int | float
Scalar = Text | Number | bool | None
Scalars = Annotated[list[Scalar], Field(min_length=1)]
# One function validates each: for a union, pydantic would report an error per member type.
Id = Annotated[Any, PlainValidator(_id, json_schema_input_type=Text | Number)]
Ids = Annotated[list[Id], Field(min_length=1, fail_fast=True), max_entries(MOST_IDS)]
FilterValue = Annotated[Any, PlainValidator(_filter_value, json_schema_input_type=Scalar | Scalars)]
DottedPath = Annotated[
    str,
    AfterValidator(_path),
    Field(
        json_schema_extra={
            "pattern": rf"^[^.\x00]+(\.[^.\x00]+){{0,{MOST_SEGMENTS - 1}}}$",
        }
    ),
]


class EventFilters(RequestModel):
    """Conditions on an event, all of which must hold; member names are those of the database."""

    model_config = ConfigDict(alias_generator=None)

    event_types: EventTypePatterns | None = None
    workspaces: Ids | None = None
    """Workspace ids or names, at most 1000."""
    campaign_ids: Ids | None = None
    """Campaign ids, at most 1000."""
    filters: Annotated[dict[DottedPath, FilterValue], max_entries(MOST_PATHS)] | None = None
    """
    A dotted path into the event's data, and the value or list of values that match. At most
    100 paths, 1000 values in all, and 16 KiB of JSON.
    """

    @model_validator(mode="after")
    def _within_limits(self) -> "EventFilters":
        values = (self.filters or {}).values()
        if sum(len(each) if isinstance(each, list) else 1 for each in values) > MOST_VALUES:
            raise ValueError(f"filters may have at most {MOST_VALUES} values in all")
        if _stored_length(self.model_dump(exclude_unset=True)) > LONGEST_TEXT:
            raise ValueError(f"must be at most {LONGEST_TEXT} characters of JSON")
        return self


def _stored_length(value: object) -> int:
    """The length of the JSON as PostgreSQL prints it: with spaces, and exponents written out."""
    exponents = [text for text in map(repr, _floats(value)) if "e" in text]
    written_out = sum(len(f"{Decimal(text):f}") - len(text) for text in exponents)
    return len(json.dumps(value, ensure_ascii=False)) + written_out


def _floats(value: object) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            if isinstance(each, _MAY_HAVE_FLOATS):
                yield from _floats(each)
