"""How a webhook's attempts went."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from daemon.admin.schemas.base import RequestModel, ResponseModel
from daemon.admin.schemas.timestamps import Timestamp


class StatsQuery(RequestModel):
    """The range of time to cover; by default the last 24 hours."""

    from_: Annotated[Timestamp | None, Field(alias="from")] = None
    """The start of the time range, inclusive. Stats are kept for 30 days."""
    to: Timestamp | None = None
    """The end of the time range, exclusive."""


class StatsPoint(ResponseModel):
    """The attempts of one part of the range."""

    at: datetime
    """When the part begins."""
    delivered: int
    failed: int
    p50_ms: int | None
    p95_ms: int | None


class WebhookStats(ResponseModel):
    """
    How the attempts went that began in a range of time.

    Test events and events that were too large to be sent are not counted.
    """

    from_: Annotated[datetime, Field(alias="from")]
    """
    The start of what was counted: whole minutes, or whole hours if the range is longer than 25
    hours or began more than 47 hours ago.
    """
    to: datetime
    """The end of what was counted, exclusive."""
    success_rate: float | None
    """The fraction of attempts that succeeded; null if there were none."""
    delivered: int
    """Attempts that succeeded."""
    failed: int
    """Attempts that failed, whether or not a retry followed."""
    errors: dict[str, int]
    """
    Failed attempts by kind: `3xx`, `4xx`, `5xx` and `other` for statuses of responses; else
    `refused_target`, `unusable`, `lookup`, `connect`, `tls`, `timeout`, `disconnected`, `protocol`.
    """
    p50_ms: int | None
    """
    The median of `durationMs` over all attempts, in milliseconds, estimated from a histogram: less
    than a fifth off. Null if there were none.
    """
    p95_ms: int | None
    """The duration that 95 % of the attempts did not exceed, estimated in the same way."""
    oldest_pending_seconds: int | None
    """
    How long ago the oldest pending attempt was scheduled; null if none is pending. If more than a
    thousand are, those that are due first count.
    """
    series: list[StatsPoint]
    """At most 100 parts of equal length, oldest first. The last one may end after `to`."""
    complete: bool
    """False if some of the latest attempts are not counted yet."""


class HourlyPoint(ResponseModel):
    """The attempts of one hour."""

    at: datetime
    """When the hour begins."""
    delivered: int
    failed: int


class StatsSummary(ResponseModel):
    """How the attempts of the last 24 hours went; since the full hour before."""

    success_rate: float | None
    """The fraction of attempts that succeeded; null if there were none."""
    delivered: int
    failed: int
    p95_ms: int | None
    series: list[HourlyPoint] | None
    """The hours, oldest first; null unless `include=hourly` asks for them."""
