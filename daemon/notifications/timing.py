"""How long mails are leased, how long each recipient is left alone, and when a mail is retried."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Timing:
    """`retry_waits` are the waits after the first, second, … failed try; the last one repeats."""

    poll_seconds: float = 1.0
    lease: timedelta = timedelta(minutes=3)
    # After a mail, what follows within this time to the same recipient comes as one mail.
    window: timedelta = timedelta(minutes=10)
    retry_waits: tuple[timedelta, ...] = tuple(
        timedelta(seconds=seconds) for seconds in (30, 60, 120, 300, 900)
    )
    # Older notices are no news; that includes those written long before mail was configured.
    max_age: timedelta = timedelta(days=1)
    code_valid_for: timedelta = timedelta(days=7)

    def wait_after(self, tries: int) -> timedelta:
        """The wait after this many failed tries (1 or more)."""
        return self.retry_waits[min(tries, len(self.retry_waits)) - 1]
