"""Replays: which events or deliveries are sent again, and how far a replay has come."""

from dataclasses import dataclass
from datetime import datetime, timedelta
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

    `event_types` may contain wildcards; None stands for all types. `only_undelivered` leaves out
    what the webhook has had, and what it may have had. `of_replay` restricts exhausted
    deliveries to those that were given up in that replay. A `tenant_id` of None stands for any
    tenant.
    """

    tenant_id: TenantId | None
    webhook_id: WebhookId
    source: ReplaySource
    from_time: datetime
    to_time: datetime | None = None
    event_types: tuple[str, ...] | None = None
    only_undelivered: bool = False
    of_replay: ReplayId | None = None


@dataclass(frozen=True, slots=True)
class ReplayScope:
    """
    A request with the webhook's tenant, and with a window that has ended.

    `open_ended` says that it was asked for without an end. `subscription_key` stands for the
    webhook's types and filters.
    """

    tenant_id: TenantId
    webhook_id: WebhookId
    source: ReplaySource
    from_time: datetime
    to_time: datetime
    event_types: tuple[str, ...] | None
    only_undelivered: bool
    of_replay: ReplayId | None
    open_ended: bool
    subscription_key: str


@dataclass(frozen=True, slots=True)
class EarlierDeliveries:
    """
    What is known of earlier deliveries of some events to one webhook.

    `delivered` events succeeded before; of `unknown` ones this cannot be told, for they are older
    than deliveries are kept. The data of `changed` events may differ from what was sent first;
    `changed_undelivered` of them are neither delivered nor unknown.
    """

    delivered: int = 0
    unknown: int = 0
    changed: int = 0
    changed_undelivered: int = 0

    def __add__(self, other: "EarlierDeliveries") -> "EarlierDeliveries":
        return EarlierDeliveries(
            self.delivered + other.delivered,
            self.unknown + other.unknown,
            self.changed + other.changed,
            self.changed_undelivered + other.changed_undelivered,
        )


@dataclass(frozen=True, slots=True)
class CountedEvents:
    """
    How many events of a replay's window are stored, and how many remain at each step.

    `asked` ones have types that were asked for, `of_types` also types that the webhook subscribes
    to; `matched` ones pass its filters, too. `unsubscribed` are the types that were asked for, if
    the webhook subscribes to none of them. For exhausted deliveries all numbers are the same.
    """

    stored: int = 0
    asked: int = 0
    of_types: int = 0
    matched: int = 0
    unsubscribed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CountedReplay:
    """
    How many deliveries a replay of this scope would make.

    `earlier` is None if it was not asked for; with `only_undelivered` it is there.
    """

    scope: ReplayScope
    events: CountedEvents
    earlier: EarlierDeliveries | None = None

    @property
    def total(self) -> int:
        """How many deliveries the replay would make."""
        if not self.scope.only_undelivered or self.earlier is None:
            return self.events.matched
        return self.events.matched - self.earlier.delivered - self.earlier.unknown

    @property
    def changed(self) -> int:
        """How many of these may be sent with other data than at first."""
        if self.earlier is None:
            return 0
        if self.scope.only_undelivered:
            return self.earlier.changed_undelivered
        return self.earlier.changed


@dataclass(frozen=True, slots=True)
class Replay:
    """
    A replay and its progress: `sent` of `total` were attempted once, with whatever outcome.

    `delivered` chains have ended with a success and `failed` ones without; `waiting` is the rest of
    `total`, or of what was sent once the replay is cancelled. All three are None for replays of
    earlier versions. `changed` events were sent with data that may differ from what was sent first.
    `reason` is a sentence that says why there is nothing to send, or less was sent than counted.

    `begun` says that a daemon has started on it, `paused` that it waits because its webhook is
    paused.
    """

    id: ReplayId
    tenant_id: TenantId
    webhook_id: WebhookId
    webhook_name: str
    source: ReplaySource
    from_time: datetime
    to_time: datetime
    event_types: tuple[str, ...] | None
    only_undelivered: bool
    of_replay: ReplayId | None
    status: ReplayStatus
    total: int
    sent: int
    delivered: int | None
    failed: int | None
    waiting: int | None
    changed: int
    reason: str | None
    created_at: datetime
    finished_at: datetime | None
    begun: bool
    paused: bool


# An attempt that the replay found in flight was begun before.
LONGEST_IN_FLIGHT = timedelta(hours=1)


def failed_of(replay: Replay) -> ReplayRequest:
    """The request to retry what was given up in this replay."""
    return ReplayRequest(
        replay.tenant_id,
        replay.webhook_id,
        ReplaySource.EXHAUSTED,
        replay.created_at - LONGEST_IN_FLIGHT,
        of_replay=replay.id,
    )
