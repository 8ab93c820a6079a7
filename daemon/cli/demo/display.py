"""What people see of the demo: who takes part, each delivery in its line, and the sum of it."""

import time
from collections.abc import Sequence
from datetime import timedelta

from rich.text import Text

from daemon.cli.demo.endpoints import Visit
from daemon.cli.demo.fixtures import Customer, Endpoint
from daemon.cli.demo.summary import Counts, Witness
from daemon.cli.receiver.signature_check import Word
from daemon.cli.support.console import Screen
from daemon.config import Delivery, format_duration
from daemon.core.model.notices import NoticeKind

SIGNATURES = {
    Word.VALID: ("✓ valid", "green"),
    Word.INVALID: ("✗ INVALID", "bold red"),
    Word.NOT_SIGNED: ("✗ none", "bold red"),
    Word.NOT_CHECKED: ("not checked", "yellow"),
}
TITLES = "seconds  event type            event         endpoint          signature   answer"


class Stage:
    """The demo's screen; times are seconds since the curtain rose."""

    def __init__(self, screen: Screen, delivery: Delivery) -> None:
        self._screen = screen
        self._delivery = delivery
        self._began = time.monotonic()

    def rise(self, cast: Sequence[Customer], *, served_at: str, receiver_at: str) -> None:
        """Say what runs where, and who takes part."""
        real, ours = Delivery(), self._delivery
        self._screen.show()
        self._fact("database", "PostgreSQL in a temporary folder, removed at the end; no fsync")
        self._fact("daemon", f"{served_at} serves /healthz, /readyz and /metrics")
        self._fact("endpoints", receiver_at)
        self._fact("retries", f"after {_waits(ours.retry_schedule)}")
        self._fact("", f"in earnest after {_waits(real.retry_schedule)}")
        self._fact(
            "an endpoint",
            f"is failing after {ours.failing_after} failures in a row, paused after"
            f" {ours.pause_after}; in earnest after {real.failing_after} and {real.pause_after}",
        )
        self._screen.show()
        for customer in cast:
            self._screen.title(f"  {customer.name}")
            for endpoint in customer.endpoints:
                line = Text(f"    {endpoint.name:<16}  ")
                self._screen.show(line.append(endpoint.told, "dim"))
        self._screen.show()
        self._screen.aside(TITLES)
        self._began = time.monotonic()

    def _fact(self, name: str, fact: str) -> None:
        self._screen.show(Text(f"  {name:<12}", style="bold").append(fact, "not bold"))

    def show_visit(self, visit: Visit) -> None:
        """One delivery, in at most 100 columns."""
        good = visit.status < 300
        signature, colour = SIGNATURES[visit.verdict.word]
        line = Text(f"{self._clock()}  ", style="dim")
        line.append(f"{visit.event_type:<20}  ", "not dim bold")
        line.append(f"{visit.event_id[:12]}  ")
        line.append(f"{visit.endpoint.name:<16}  ", "not dim")
        line.append(f"{signature:<10}  ", f"not dim {colour}")
        line.append(f"{visit.status}", f"not dim {'green' if good else 'red'}")
        line.append(f"  {self._remark(visit)}", "" if good and visit.attempt == 1 else "not dim")
        self._screen.show(line, crop=True)

    def _remark(self, visit: Visit) -> str:
        schedule = self._delivery.retry_schedule
        if visit.status < 300:
            if visit.took_seconds is None:
                return f"at try {visit.attempt}"
            return f"{visit.took_seconds * 1000:.0f} ms"
        if visit.attempt > len(schedule):
            return f"try {visit.attempt}, the last"
        return f"try {visit.attempt}, next in {format_duration(schedule[visit.attempt - 1])}"

    def show_change(self, endpoint: Endpoint, kind: NoticeKind, failures: int) -> None:
        """A transition of an endpoint's health, as the daemon has noted it."""
        row = f"{failures} failed attempts in a row"
        match kind:
            case NoticeKind.FAILING:
                self._turn("▲", "yellow", endpoint, f"is FAILING: {row}")
            case NoticeKind.HALF_WAY:
                self._turn("▲", "yellow", endpoint, f"is half way to being PAUSED: {row}")
            case NoticeKind.NEARLY_PAUSED:
                self._turn("▲", "yellow", endpoint, f"will soon be PAUSED: {row}")
            case NoticeKind.PAUSED:
                self._turn("■", "red", endpoint, f"is PAUSED: {row}; what is pending waits")
            case NoticeKind.GONE:
                self._turn("■", "red", endpoint, "is PAUSED: it answered 410 Gone")

    def show_resumed(self, endpoint: Endpoint) -> None:
        self._turn("●", "green", endpoint, "was repaired and RESUMED: what was pending goes on")

    def _turn(self, sign: str, colour: str, endpoint: Endpoint, what: str) -> None:
        line = Text(f"{self._clock()}  ", style="dim")
        self._screen.show(line.append(f"{sign} {endpoint.name} {what}", f"not dim bold {colour}"))

    def _clock(self) -> str:
        return f"{time.monotonic() - self._began:7.2f}"

    def fall(self, counts: Counts, witness: Witness) -> None:
        """The summary."""
        self._screen.show()
        self._screen.title("What came of it")
        self._fact("events", f"{counts.events}, of {counts.types} different types")
        self._fact("deliveries", f"{counts.deliveries}, in {counts.attempts} attempts")
        self._fact(
            "",
            f"{counts.at_first_try} succeeded at the first try, {counts.after_retries} after"
            f" retries; {_verb(counts.waiting, 'waits', 'wait')} for a retry,"
            f" {_verb(counts.given_up, 'was', 'were')} given up",
        )
        spoken = [f"{number} {word}" for word, number in witness.verdicts.items() if number]
        self._fact("signatures", ", ".join(spoken) or "none came")
        self._fact("paused", ", ".join(_paused(witness)) or "no endpoint")
        took = "nothing came"
        if witness.median_ms is not None:
            took = f"{witness.median_ms:.1f} ms, the median of {len(witness.latencies)}"
        self._fact("latency", f"{took}, from an event's insert to its first receipt")


def _verb(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def _paused(witness: Witness) -> list[str]:
    return [f"{name} (and resumed)" if name in witness.resumed else name for name in witness.paused]


def _waits(schedule: Sequence[timedelta]) -> str:
    return ", ".join(format_duration(wait) for wait in schedule)
