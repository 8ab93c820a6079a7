"""Replays of stored events and of exhausted deliveries."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from daemon.admin.schemas.base import RequestModel, ResponseModel
from daemon.admin.schemas.cursor import CursorField
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
    only_undelivered: bool = False
    """Leave out the events that this webhook has had, and those of which that is unknown."""
    dry_run: bool = False
    """Count the events and send nothing."""


class ReplayCount(ResponseModel):
    """The number of events that a replay would send, and what is known of their deliveries."""

    total: int
    delivered_before: int
    """Events of the time range that this webhook has had successfully."""
    unknown: int
    """Events older than deliveries are kept: it is unknown whether they were delivered."""
    changed: int
    """Events that would be sent with data that may differ from what was sent first."""
    reason: str | None
    """Why there is nothing to send; null if there is."""


class Replay(ResponseModel):
    """A replay and its progress."""

    id: UUID
    webhook_id: UUID
    webhook_name: str
    source: str
    """`events`, or `exhausted` for deliveries that had no retries left."""
    from_: Annotated[datetime, Field(alias="from")]
    to: datetime
    event_types: list[str] | None
    only_undelivered: bool
    of_replay_id: UUID | None
    """The replay of which this one retries the deliveries that were given up."""
    status: str
    """`running`, `completed` or `cancelled`."""
    begun: bool
    """Whether a daemon has started it."""
    paused: bool
    """Whether it waits for its webhook to be resumed."""
    total: int
    sent: int
    """The number of events that were attempted once, successfully or not."""
    delivered: int | None
    """Deliveries that succeeded. Null, as the next two, for replays of an earlier version."""
    failed: int | None
    """Deliveries that were given up."""
    waiting: int | None
    """The others: to be attempted, in progress, or waiting for a retry."""
    changed: int
    """Events that were sent with data that may differ from what was sent first."""
    reason: str | None
    """Why there is nothing to send, or less was sent than was counted."""
    created_at: datetime
    finished_at: datetime | None


class ReplayList(ResponseModel):
    """A page of replays, newest first."""

    replays: list[Replay]
    next: str | None
    """The value of `before` for the next page; null on the last page."""


class ReplaysQuery(RequestModel):
    """The page of replays to list."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    before: CursorField | None = None
    """`next` of the previous page, the id of a replay, or a time: older replays only."""


class RetriesStarted(ResponseModel):
    """The number of exhausted deliveries, and the replay that sends them again."""

    count: int
    replay_id: UUID | None
    """Null when there was nothing to retry."""
