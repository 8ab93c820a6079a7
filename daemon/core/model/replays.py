"""Replays: what was asked for, and how far they are."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from daemon.core.model.ids import ReplayId, TenantId, WebhookId


class ReplaySource(StrEnum):
    """What a replay goes through."""

    EVENTS = "events"  # the tenant's stored events that the webhook wants
    EXHAUSTED = "exhausted"  # the webhook's deliveries that were given up


class ReplayStatus(StrEnum):
    """A replay runs until all of it was made once; it waits while its webhook is paused."""

    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """
    What is to be sent again: of `from_time` and later, before `to_time` (None: until now).

    `event_types` may hold wildcards; None takes all. A tenant of None is everybody.
    """

    tenant_id: TenantId | None
    webhook_id: WebhookId
    source: ReplaySource
    from_time: datetime
    to_time: datetime | None = None
    event_types: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Bounded:
    """What is wanted, with its tenant, and with times that end before now."""

    tenant_id: TenantId
    webhook_id: WebhookId
    source: ReplaySource
    from_time: datetime
    to_time: datetime
    event_types: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class CountedReplay:
    """How many a replay would send."""

    wanted: Bounded
    total: int


@dataclass(frozen=True, slots=True)
class Replay:
    """
    A replay and how far it is: `sent` of `total` were made once, whatever came of it.

    `begun` says that a daemon has taken it up, `paused` that it waits for its webhook's resumption.
    """

    id: ReplayId
    tenant_id: TenantId
    webhook_id: WebhookId
    source: ReplaySource
    from_time: datetime
    to_time: datetime
    event_types: tuple[str, ...] | None
    status: ReplayStatus
    total: int
    sent: int
    created_at: datetime
    finished_at: datetime | None
    begun: bool
    paused: bool
