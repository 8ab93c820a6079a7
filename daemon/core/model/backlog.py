"""What waits in the database, as the metrics show it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backlog:
    """
    What waits for deliveries; each number stops at a bound, and is None if counting took too long.

    `inbox_oldest_seconds` is how long the first event of the inbox has been there, None if it is
    empty. `pending` attempts include those that are `due`. Webhooks `may_probe` or not, which are
    failing; they are paused because of failures or on request.
    """

    inbox_events: int | None = None
    inbox_oldest_seconds: float | None = None
    pending: int | None = None
    due: int | None = None
    failing: int | None = None
    may_probe: int | None = None
    paused_by_failures: int | None = None
    paused_by_request: int | None = None


@dataclass(frozen=True, slots=True)
class PartitionRange:
    """
    How many partitions the history has; 0 where it has none.

    `days_ahead` is how many whole days after today have theirs, without a gap; `oldest_days` is the
    age of the first.
    """

    partitions: int
    days_ahead: int
    oldest_days: int
