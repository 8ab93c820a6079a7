"""How an installation is doing, as operators look at it."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class FailingHost:
    """
    A host at which webhooks are failing: how many, of how many tenants, and since when.

    `host` is None for what is no URL. `failures` is the largest number in a row.
    """

    host: str | None
    webhooks: int
    tenants: int
    failing_since: datetime | None
    failures: int


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """
    The database; sizes are in bytes, indexes included.

    `waiting_events` are those whose deliveries are not all decided; it stops at a bound.
    `partitions` is 0 where deliveries are in one table. `oldest_transaction_seconds` is that of
    other sessions, as far as this role may see them.
    """

    version: str
    database_bytes: int
    deliveries_bytes: int
    events_bytes: int
    waiting_events: int
    partitions: int
    connections: int
    max_connections: int
    oldest_transaction_seconds: float | None
    notification_queue_usage: float


@dataclass(frozen=True, slots=True)
class MailQueue:
    """
    Notices that wait to be mailed, and those that were given up; both stop at a bound.

    `oldest_seconds` is how long the oldest one has been due.
    """

    waiting: int
    given_up: int
    oldest_seconds: float | None
