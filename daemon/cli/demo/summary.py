"""What the demo came to: counted in the database where it can be, measured where it cannot."""

from dataclasses import dataclass, field
from statistics import median

from daemon.cli.demo.endpoints import Visit
from daemon.cli.receiver.signature_check import Word
from daemon.store.session import Connection

COUNT = """
    SELECT (SELECT count(*) FROM webhook_events) AS events,
           (SELECT count(DISTINCT event_type) FROM webhook_events) AS types,
           count(DISTINCT (webhook_id, event_id)) AS deliveries,
           count(*) FILTER (WHERE status <> 'pending_retry') AS attempts,
           count(*) FILTER (WHERE status = 'success' AND attempt_number = 1) AS at_first_try,
           count(*) FILTER (WHERE status = 'success' AND attempt_number > 1) AS after_retries,
           count(*) FILTER (WHERE status = 'pending_retry') AS waiting
      FROM webhook_deliveries
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """What the tables hold; a delivery is one event for one webhook, an attempt one row."""

    events: int
    types: int
    deliveries: int
    attempts: int
    at_first_try: int
    after_retries: int
    waiting: int

    @property
    def given_up(self) -> int:
        return self.deliveries - self.at_first_try - self.after_retries - self.waiting


async def count(db: Connection) -> Counts:
    return Counts(**dict(await db.fetchrow(COUNT)))


@dataclass(slots=True)
class Witness:
    """What the endpoints saw, and who was paused, and resumed."""

    verdicts: dict[Word, int] = field(default_factory=lambda: dict.fromkeys(Word, 0))
    latencies: list[float] = field(default_factory=list)
    paused: list[str] = field(default_factory=list)
    resumed: list[str] = field(default_factory=list)

    def note(self, visit: Visit) -> None:
        self.verdicts[visit.verdict.word] += 1
        if visit.took_seconds is not None:
            self.latencies.append(visit.took_seconds)

    @property
    def median_ms(self) -> float | None:
        """From the insert of an event to its first receipt, in milliseconds."""
        return median(self.latencies) * 1000 if self.latencies else None
