"""Replays: which events or deliveries are sent again, and how far a replay has come."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from daemon.core.model.ids import ReplayId, TenantId, WebhookId


class ReplaySource(StrEnum):
    """The rows that a replay reads."""

    EVENTS = "events"  # the tenant's stored events that the webhook wants
    EXHAUSTED = "exhausted"  # the webhook's deliveries that failed and have no further attempt


class ReplayStatus(StrEnum):
    """A replay runs until each of its deliveries was attempted once; a paused webhook's waits."""

    RUNNING = "running"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """
    A replay as a person asks for it: `from_time` is inclusive, `to_time` is not (None: until now).

    `event_types` may contain wildcards; None stands for all types. A `tenant_id` of None stands for
    any tenant.
    """

    tenant_id: TenantId | None
    webhook_id: WebhookId
    source: ReplaySource
    from_time: datetime
    to_time: datetime | None = None
    event_types: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ReplayScope:
    """A request with the webhook's tenant, and with a window that has ended."""

    tenant_id: TenantId
    webhook_id: WebhookId
    source: ReplaySource
    from_time: datetime
    to_time: datetime
    event_types: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class CountedReplay:
    """How many deliveries a replay of this scope would make."""

    scope: ReplayScope
    total: int


@dataclass(frozen=True, slots=True)
class Replay:
    """
    A replay and its progress: `sent` of `total` were attempted once, with whatever outcome.

    `begun` says that a daemon has started on it, `paused` that it waits because its webhook is
    paused.
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
