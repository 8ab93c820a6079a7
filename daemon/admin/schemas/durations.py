"""Durations in requests: the overlap of a secret rotation and the lifetime of a token."""

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from daemon.config import parse_duration

OVERLAP = (
    r"^((0|[1-9][0-9]{0,5})s|(0|[1-9][0-9]{0,3})m|(0|[1-9][0-9]?|[1-6][0-9]{2})h"
    r"|([0-9]|[12][0-9]|30)d)$"
)
LIFETIME = r"^(([1-9]|1[0-9]|2[0-4])h|([1-9]|[1-9][0-9]|[1-9][0-9]{2}|1[0-3][0-9]{2})m)$"
MIN_LIFETIME_SECONDS, MAX_LIFETIME_SECONDS = 60, 86_400


def _overlap(given: object) -> str:
    if not isinstance(given, str) or not re.fullmatch(OVERLAP, given):
        raise ValueError("must be a duration from 0s to 30d, such as 24h")
    return given


def _lifetime_seconds(given: object) -> int:
    seconds: object = given
    if isinstance(given, float) and given.is_integer():  # JSON Schema: 60.0 is an integer
        seconds = int(given)
    elif isinstance(given, str) and re.fullmatch(LIFETIME, given):
        seconds = int(parse_duration(given).total_seconds())
    if type(seconds) is not int or not MIN_LIFETIME_SECONDS <= seconds <= MAX_LIFETIME_SECONDS:
        raise ValueError(
            "must be from one minute to one day: a number of seconds, or a duration such as 1h"
        )
    return seconds


Overlap = Annotated[
    str,
    BeforeValidator(_overlap),
    Field(json_schema_extra={"pattern": OVERLAP, "examples": ["24h"]}),
]
LifetimeSeconds = Annotated[
    int,
    BeforeValidator(
        _lifetime_seconds,
        json_schema_input_type=Annotated[
            int, Field(ge=MIN_LIFETIME_SECONDS, le=MAX_LIFETIME_SECONDS)
        ]
        | Annotated[str, Field(json_schema_extra={"pattern": LIFETIME, "examples": ["15m"]})],
    ),
]
