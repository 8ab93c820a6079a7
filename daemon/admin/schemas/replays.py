"""Replays of stored events and of exhausted deliveries."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from daemon.admin.schemas.base import RequestModel, ResponseModel
from daemon.admin.schemas.fields import EventTypePatterns
from daemon.admin.schemas.timestamps import Timestamp


class TimeRange(RequestModel):
    """A time range; `from` is inclusive, `to` is exclusive and defaults to the current time."""

    from_: Annotated[Timestamp, Field(alias="from")]
    to: Timestamp | None = None


class CreateReplayRequest(TimeRange):
    """The events to send again, and the webhook that receives them."""

    webhook_id: UUID
    event_types: EventTypePatterns | None = None
    """Null or an empty list replays every type that the webhook subscribes to."""
    dry_run: bool = False
    """Count the events and send nothing."""


class ReplayCount(ResponseModel):
    """The number of events that a replay would send."""

    total: int


class Replay(ResponseModel):
    """A replay and its progress."""

    id: UUID
    webhook_id: UUID
    source: str
    """`events`, or `exhausted` for deliveries that had no retries left."""
    from_: Annotated[datetime, Field(alias="from")]
    to: datetime
    event_types: list[str] | None
    status: str
    """`running`, `completed` or `cancelled`."""
    begun: bool
    """Whether a daemon has started it."""
    paused: bool
    """Whether it waits for its webhook to be resumed."""
    total: int
    sent: int
    """The number of events that were attempted once, successfully or not."""
    created_at: datetime
    finished_at: datetime | None


class ReplayList(ResponseModel):
    """The replays of a webhook, newest first."""

    replays: list[Replay]


class ReplaysQuery(RequestModel):
    """The number of replays to list."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50


class RetriesStarted(ResponseModel):
    """The number of exhausted deliveries, and the replay that sends them again."""

    count: int
    replay_id: UUID | None
    """Null when there was nothing to retry."""
