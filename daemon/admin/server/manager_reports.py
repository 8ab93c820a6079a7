"""
Tells systemd how the daemon is doing: the line of `systemctl status`, and the watchdog.

The rule: the watchdog is fed only while every loop runs.
"""

import asyncio
from dataclasses import dataclass

from daemon.admin.server.readiness import Report, Reporting
from daemon.runtime import systemd
from daemon.runtime.metrics import Metrics

INTERVAL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Figures:
    """Attempts a second of this daemon, and all that is pending, None if not counted yet."""

    attempts_per_second: float
    pending: int | None


async def feed_watchdog(reporting: Reporting) -> None:
    """Feed the watchdog until this is cancelled; returns at once if there is none."""
    interval = systemd.watchdog_interval()
    while interval is not None:
        if reporting.alive:
            systemd.notify("WATCHDOG=1")
        await asyncio.sleep(interval.total_seconds() / 2)


async def report_status(reporting: Reporting, metrics: Metrics) -> None:
    """Send figures every few seconds until this is cancelled; returns at once without systemd."""
    clock = asyncio.get_running_loop().time
    made, since = metrics.attempts.made, clock()
    while systemd.is_manager():
        await asyncio.sleep(INTERVAL_SECONDS)
        rate = (metrics.attempts.made - made) / (clock() - since)
        made, since = metrics.attempts.made, clock()
        figures = Figures(rate, metrics.backlog.pending)
        systemd.notify(f"STATUS={status(reporting.report(), figures)}")


def status(report: Report, figures: Figures) -> str:
    """Format `Delivering: 12.5 attempts a second, 40 pending, the oldest due for 3 s`."""
    failing = sorted(name for name, holds in report.verdicts().items() if not holds)
    holds = report.checks.get("holds")
    state = "Delivering"
    if isinstance(holds, dict) and holds.get("everythingSince"):
        state = "Everything is held"
    if failing:
        state = f"Not ready ({', '.join(failing)})"
    parts = [f"{figures.attempts_per_second:.1f} attempts a second"]
    if figures.pending is not None:
        parts.append(f"{figures.pending} pending")
    parts.append(f"the oldest due for {report.lag.oldest_due:.0f} s")
    return f"{state}: {', '.join(parts)}"
