"""
Is the daemon fit for work: what `/readyz` says, and what systemd's watchdog is fed with.

Nothing here asks the database: the loops do, all the time, and this reads when they last could. So
the answer comes at once even while the database hangs.
"""

from collections.abc import Callable
from dataclasses import dataclass

from daemon.runtime.loop import Heartbeats

# The listener asks the database once a second; three misses are an absence.
DATABASE_SILENCE_SECONDS = 3.0
# No loop rests longer than ten seconds, nor has a query that takes longer.
LOOP_SILENCE_SECONDS = 25.0


@dataclass(frozen=True, slots=True)
class Report:
    """The verdict and, by name, every check as JSON will show it."""

    ready: bool
    checks: dict[str, object]


class Readiness:
    """Reads the pulse of all loops; `lag` tells how late the oldest due delivery is, in seconds."""

    def __init__(self, pulse: Heartbeats, *, lag: Callable[[], float]) -> None:
        self._pulse = pulse
        self._lag = lag
        self.schema = ""
        self.stopping = False

    @property
    def turning(self) -> bool:
        """Whether every loop came round lately, be it in vain."""
        ages = self._pulse.ages()
        return bool(ages) and all(age < LOOP_SILENCE_SECONDS for age in ages.values())

    def report(self) -> Report:
        ages = self._pulse.ages()
        loops = {
            name: {"ok": age < LOOP_SILENCE_SECONDS, "lastTurnSecondsAgo": round(age, 3)}
            for name, age in sorted(ages.items())
        }
        database = ages.get("listen", float("inf")) < DATABASE_SILENCE_SECONDS
        return Report(
            ready=database and self.turning and bool(self.schema) and not self.stopping,
            checks={
                "database": {"ok": database},
                "schema": {"ok": bool(self.schema), "version": self.schema},
                "loops": loops,
                "lag": {"ok": True, "oldestDueSeconds": round(self._lag(), 3)},
                "stopping": self.stopping,
            },
        )
