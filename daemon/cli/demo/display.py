"""The output of the demo, at most 80 columns wide: introduction, events as lines, summary."""

import time
from collections.abc import Sequence
from datetime import timedelta

from rich.text import Text

from daemon.cli.demo.console_access import ConsoleAccess
from daemon.cli.demo.endpoints import OPEN_PATH, ReceivedAttempt
from daemon.cli.demo.fixtures import SampleTenant
from daemon.cli.demo.summary import Observations
from daemon.cli.receiver.report import SIGNATURE_STYLES
from daemon.cli.support.console import Screen
from daemon.config import Delivery, format_duration
from daemon.core.model.notices import NoticeKind
from daemon.store.demo import HealthNotice, Totals

COLUMNS = " time  event                 endpoint      signature  answer"
DEFAULTS = Delivery()


class Display:
    """Prints to `screen`; times are in seconds since the introduction."""

    def __init__(self, screen: Screen, delivery: Delivery) -> None:
        self._screen = screen
        self._delivery = delivery
        self._began = time.monotonic()

    def show_introduction(
        self,
        tenants: Sequence[SampleTenant],
        *,
        daemon_url: str,
        endpoints_url: str,
        console: ConsoleAccess,
    ) -> None:
        """Print what runs where, the shortened waits, the sample webhooks, and the console."""
        delivery = self._delivery
        self._screen.show()
        self._show_fact("Database", "temporary PostgreSQL without fsync, removed at the end")
        self._show_fact("Daemon", f"{daemon_url} (/healthz, /readyz, /metrics)")
        self._show_fact("Endpoints", endpoints_url)
        self._show_fact("Yours", f"{endpoints_url}{OPEN_PATH} accepts webhooks that you create")
        self._show_fact(
            "Retries",
            f"after {_durations(delivery.retry_schedule)}"
            f" (default: {_durations(DEFAULTS.retry_schedule)})",
        )
        self._show_fact("Failing", _limit(delivery.failing_after, DEFAULTS.failing_after))
        self._show_fact("Paused", _limit(delivery.pause_after, DEFAULTS.pause_after))
        for tenant in tenants:
            self._screen.show()
            self._screen.title(f"  {tenant.name}")
            for webhook in tenant.webhooks:
                self._screen.show(
                    Text(f"    {webhook.name:<14}").append(webhook.description, "dim")
                )
            if not tenant.webhooks:
                self._screen.aside("    no webhooks: the console shows how a new tenant begins")
        self._show_console(console, tenants[0].name)
        self._screen.show()
        self._screen.aside(COLUMNS)
        self._began = time.monotonic()

    def _show_console(self, console: ConsoleAccess, tenant: str) -> None:
        self._screen.show()
        self._screen.title(f"  Console of {tenant}, by a link that works once")
        self._screen.show(f"    {console.link}")
        self._screen.title("  Console of all tenants, for operators")
        self._screen.show(f"    {console.url} with the token {console.token}")

    def show_attempt(self, received: ReceivedAttempt) -> None:
        """Print one delivery attempt as one line."""
        succeeded = received.status < 300
        signature = received.signature.status
        line = Text(f"{self._elapsed()}  ", style="dim")
        line.append(f"{received.event_type:<20}  ", "not dim bold")
        line.append(f"{received.webhook.name:<12}  ", "not dim")
        line.append(f"{signature:<9}  ", f"not dim {SIGNATURE_STYLES[signature]}")
        line.append(f"{received.status}", f"not dim {'green' if succeeded else 'red'}")
        line.append(
            f"  {self._remark(received)}", "" if succeeded and received.attempt == 1 else "not dim"
        )
        self._screen.show(line, crop=True)

    def _remark(self, received: ReceivedAttempt) -> str:
        schedule = self._delivery.retry_schedule
        attempt = f"attempt {received.attempt}"
        if received.status < 300:
            if received.latency_seconds is None:
                return attempt
            return f"{received.latency_seconds * 1000:.0f} ms"
        if received.attempt > len(schedule):
            return f"{attempt}, the last"
        return f"{attempt}, next in {format_duration(schedule[received.attempt - 1])}"

    def show_notice(self, name: str, notice: HealthNotice) -> None:
        """Print a transition of an endpoint's health that the daemon stored."""
        in_a_row = f"{notice.failures} failed attempts in a row"
        match notice.kind:
            case NoticeKind.FAILING:
                self._show_change("▲", "yellow", f"{name} is FAILING: {in_a_row}")
            case NoticeKind.HALF_WAY:
                self._show_change("▲", "yellow", f"{name} is half way to being PAUSED: {in_a_row}")
            case NoticeKind.NEARLY_PAUSED:
                self._show_change("▲", "yellow", f"{name} will soon be PAUSED: {in_a_row}")
            case NoticeKind.PAUSED:
                self._show_change("■", "red", f"{name} is PAUSED: {in_a_row}; deliveries wait")
            case NoticeKind.GONE:
                self._show_change("■", "red", f"{name} is PAUSED: it answered 410 Gone")

    def show_resumed(self, name: str) -> None:
        """Print that a paused webhook was resumed."""
        self._show_change("●", "green", f"{name} was repaired and RESUMED: deliveries continue")

    def show_summary(self, totals: Totals, observed: Observations) -> None:
        """Print the totals."""
        self._screen.show()
        self._screen.title("Summary")
        self._show_fact("Events", f"{totals.events} of {totals.event_types} types")
        self._show_fact("Deliveries", f"{totals.deliveries} in {totals.attempts} attempts")
        self._show_fact(
            "",
            f"{totals.succeeded_at_once} succeeded at once, {totals.succeeded_later} after retries,"
            f" {totals.pending} pending, {totals.exhausted} exhausted",
        )
        signatures = [f"{count} {status}" for status, count in observed.signatures.items()]
        self._show_fact("Signatures", ", ".join(signatures) or "none")
        self._show_fact("Paused", ", ".join(_paused(observed)) or "none")
        latency = "no deliveries"
        if observed.median_ms is not None:
            count = len(observed.latencies_seconds)
            latency = f"{observed.median_ms:.1f} ms from insert to first request, median of {count}"
        self._show_fact("Latency", latency)

    def _show_fact(self, name: str, fact: str) -> None:
        self._screen.show(Text(f"  {name:<10}  ", style="bold").append(fact, "not bold"))

    def _show_change(self, symbol: str, colour: str, sentence: str) -> None:
        line = Text(f"{self._elapsed()}  ", style="dim")
        self._screen.show(line.append(f"{symbol} {sentence}", f"not dim bold {colour}"))

    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._began:5.2f}"


def _limit(failures: int, default: int) -> str:
    return f"after {failures} failures in a row (default: {default})"


def _paused(observed: Observations) -> list[str]:
    return [f"{name} (resumed)" if name in observed.resumed else name for name in observed.paused]


def _durations(schedule: Sequence[timedelta]) -> str:
    return ", ".join(format_duration(wait) for wait in schedule)
