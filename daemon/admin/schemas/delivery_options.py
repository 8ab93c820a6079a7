"""Types of the members that say how a webhook's deliveries are made."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from daemon.admin.schemas.fields import matching
from daemon.core.policy.delivery_options import (
    FASTEST,
    FEWEST_IN_FLIGHT,
    MOST_IN_FLIGHT,
    SCHEDULE_NAME,
    SLOWEST,
)

TIMEOUT = (
    r"^(([1-9]|[12][0-9])s([1-9][0-9]{0,2}ms)?|30s"
    r"|([1-9][0-9]{3}|[12][0-9]{4}|30000)ms)$"
)


def _whole(given: object) -> object:
    """JSON Schema: 60.0 is an integer."""
    return int(given) if isinstance(given, float) and given.is_integer() else given


Timeout = Annotated[
    str,
    *matching(TIMEOUT, "must be a duration from 1s to 30s, such as 10s"),
    Field(json_schema_extra={"examples": ["10s"]}),
]
PerSecond = Annotated[float, Field(ge=SLOWEST, le=FASTEST)]
# The bounds first: behind the validator they would not be those of JSON Schema.
InFlight = Annotated[int, Field(ge=FEWEST_IN_FLIGHT, le=MOST_IN_FLIGHT), BeforeValidator(_whole)]
ScheduleName = Annotated[
    str, *matching(SCHEDULE_NAME, "must be the name of a schedule: a-z, 0-9, - and _")
]
