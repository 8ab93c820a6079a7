"""Replays, and retries of what was given up."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field

from daemon.admin.schemas.base import Given, Taken
from daemon.admin.schemas.fields import EventTypePatterns, Moment


class Window(Taken):
    """A time from which and up to which; `to` is now unless told otherwise."""

    from_: Annotated[Moment, Field(alias="from")]
    to: Moment | None = None


class NewReplay(Window):
    """Which events are to be sent again, and to which webhook."""

    webhook_id: UUID
    event_types: EventTypePatterns | None = None
    """None or an empty list takes every type that the webhook takes."""
    dry_run: bool = False
    """Count, and send nothing."""


class ReplayCount(Given):
    """How many events a replay would send."""

    total: int


class Replay(Given):
    """A replay and how far it is."""

    id: UUID
    webhook_id: UUID
    source: str
    """`events`, or `exhausted` for deliveries that had been given up."""
    from_: Annotated[datetime, Field(alias="from")]
    to: datetime
    event_types: list[str] | None
    status: str
    """`running`, `completed` or `cancelled`."""
    begun: bool
    """Whether a daemon has taken it up."""
    paused: bool
    """Whether it waits for its webhook to be resumed."""
    total: int
    sent: int
    """Made once, whatever came of it."""
    created_at: datetime
    finished_at: datetime | None


class Replays(Given):
    """A webhook's replays, newest first."""

    replays: list[Replay]


class ReplaysQuery(Taken):
    """How many of the newest."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50


class RetriesStarted(Given):
    """How many exhausted deliveries are to be made again, and the replay that does it."""

    count: int
    replay_id: UUID | None
