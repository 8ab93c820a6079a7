"""
What a daemon counts and measures of itself, for Prometheus.

Nothing is labelled by endpoint or tenant: their number has no bound, and a scrape would pay for it.
"""

import collections
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version

import prometheus_client as prometheus
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from daemon.core.model.attempts import (
    AttemptResult,
    Failure,
    FailureKind,
    Outcome,
    Response,
    Verdict,
)
from daemon.core.model.notices import NoticeKind
from daemon.runtime.histogram import Histogram

RESULTS = ("success", "failed", "exhausted")
CLASSES = ("2xx", "3xx", "4xx", "5xx", "other", "none")
CLEARED = ("deliveries", "events", "replays", "notices")

NETWORK_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
DELAY_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 3600.0)
DATABASE_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
BATCH_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

Ages = Callable[[], Mapping[str, float]]


class Metrics:
    """All metrics of one daemon, in a registry of their own; not safe for several threads."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        # Times of creation double the page, and nobody reads them.
        prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=self._registry)
        prometheus.Info("webhookd_build", "What is running.", registry=self._registry).info(
            {"version": _version(), "python": platform.python_version()}
        )
        self._make_counters()
        self._make_histograms()
        self._make_gauges()

    def render(self) -> bytes:
        """Write everything in Prometheus' text format, for `content_type`."""
        return prometheus.generate_latest(self._registry)

    def fanned_out(self, *, events: int, deliveries: int) -> None:
        """Count events that were looked at, and the deliveries that they made."""
        self._events.inc(events)
        self._deliveries.inc(deliveries)

    def observe_claim(self, seconds: float) -> None:
        self._claim_seconds.observe(seconds)

    def observe_commit_to_send(self, seconds: float) -> None:
        """Measure a first attempt: from its event's `created_at` until it was sent."""
        # The application's clock may be ahead of ours.
        self._commit_to_send_seconds.observe(max(0.0, seconds))

    def observe_attempts(self, batch: Iterable[AttemptResult]) -> None:
        """Count attempts that were made: their results, faults, classes of answers, durations."""
        tally: collections.Counter[prometheus.Counter] = collections.Counter()
        for attempted in batch:
            outcome = attempted.outcome
            tally[self._results[_result_of(attempted.verdict)]] += 1
            tally[self._classes[_class_of(outcome)]] += 1
            if isinstance(outcome.result, Failure):
                tally[self._faults[outcome.result.kind]] += 1
            self._attempt_seconds.observe(outcome.took_ms / 1000)
        for counter, count in tally.items():
            counter.inc(count)

    def observe_settle(self, seconds: float, size: int) -> None:
        """Measure one transaction that stored the results of `size` attempts."""
        self._settle_seconds.observe(seconds)
        self._settle_sizes.observe(size)

    def lease_lost(self) -> None:
        """Count a result that came too late: its delivery was somebody else's by then."""
        self._leases_lost.inc()

    def postponed(self) -> None:
        """Count an attempt that a fault of our own has put off; it is spent on nobody's account."""
        self._postponed.inc()

    def replayed(self, count: int) -> None:
        """Count deliveries that replays have made."""
        self._replayed.inc(count)

    def rows_deleted(self, table: str, count: int) -> None:
        """Count rows that were deleted for their age from one of the tables `CLEARED`."""
        self._rows_deleted[table].inc(count)

    def counted_secrets(self, *, plain: int, unreadable: int) -> None:
        """Set how many webhooks have secrets that lie plain, or that no key of ours opens."""
        self._plain.set(plain)
        self._unreadable.set(unreadable)

    def notice(self, kind: NoticeKind) -> None:
        self._notices[kind].inc()

    def mail_sent(self) -> None:
        """Count a notice that a mail server has taken over."""
        self._mails_sent.inc()

    def mail_failed(self) -> None:
        """Count a try to mail a notice that came to nothing."""
        self._mails_failed.inc()

    def swept(self, *, lag_seconds: float, due: int, in_flight: int) -> None:
        """Set what a look at everything found; `lag_seconds` is that of the oldest due delivery."""
        self._lag.set(lag_seconds)
        self._due.set(due)
        self._in_flight.set(in_flight)

    def follow_loops(self, ages: Ages) -> None:
        """Ask `ages`, at each scrape, for the seconds since each loop's last turn; call once."""
        self._registry.register(_LoopAges(ages))

    def _make_counters(self) -> None:
        self._events = self._counter("events_fanned_out", "Events matched against webhooks.")
        self._deliveries = self._counter("deliveries_created", "Deliveries made of events.")
        self._leases_lost = self._counter("leases_lost", "Results too late to be stored.")
        self._postponed = self._counter("postponed", "Attempts put off for a fault of our own.")
        self._mails_sent = self._counter("mails_sent", "Notices that were mailed.")
        self._mails_failed = self._counter("mails_failed", "Tries to mail a notice that failed.")
        self._replayed = self._counter("replayed_deliveries", "Deliveries made by replays.")
        self._results = self._counters("attempts", "Attempts made.", "result", RESULTS)
        self._faults = self._counters(
            "attempt_faults", "Attempts that got no answer.", "fault", list(FailureKind)
        )
        self._rows_deleted = self._counters(
            "rows_deleted", "Rows deleted for their age.", "table", CLEARED
        )
        self._classes = self._counters("responses", "Attempts by their answer.", "class", CLASSES)
        self._notices = self._counters(
            "notices", "Transitions of endpoints.", "kind", list(NoticeKind)
        )

    def _make_histograms(self) -> None:
        self._attempt_seconds = self._histogram(
            "attempt_seconds", "Attempts, from the lookup to the last byte read.", NETWORK_SECONDS
        )
        self._commit_to_send_seconds = self._histogram(
            "commit_to_send_seconds",
            "First attempts, from created_at of the event until sent.",
            DELAY_SECONDS,
        )
        self._claim_seconds = self._histogram(
            "claim_seconds", "Transactions that claim deliveries.", DATABASE_SECONDS
        )
        self._settle_seconds = self._histogram(
            "settle_seconds", "Transactions that store results.", DATABASE_SECONDS
        )
        self._settle_sizes = self._histogram(
            "settle_batch_size", "Results stored in one transaction.", BATCH_SIZES
        )

    def _make_gauges(self) -> None:
        self._in_flight = self._gauge("in_flight", "Requests under way.")
        self._lag = self._gauge("pending_lag_seconds", "How late the oldest due delivery is.")
        self._due = self._gauge("endpoints_due", "Endpoints that have deliveries due.")
        self._plain = self._gauge("webhooks_unsealed", "Webhooks whose secrets may lie plain.")
        self._unreadable = self._gauge(
            "webhooks_unreadable", "Webhooks whose secrets no master key of ours opens."
        )

    def _counter(self, name: str, told: str) -> prometheus.Counter:
        return prometheus.Counter(f"webhookd_{name}", told, registry=self._registry)

    def _counters(
        self, name: str, told: str, label: str, values: Sequence[str]
    ) -> dict[str, prometheus.Counter]:
        """Bind every label value now: cheap to count later, and 0 rather than absent at first."""
        family = prometheus.Counter(f"webhookd_{name}", told, [label], registry=self._registry)
        return {value: family.labels(str(value)) for value in values}

    def _gauge(self, name: str, told: str) -> prometheus.Gauge:
        return prometheus.Gauge(f"webhookd_{name}", told, registry=self._registry)

    def _histogram(self, name: str, told: str, bounds: Sequence[float]) -> "Histogram":
        histogram = Histogram(f"webhookd_{name}", told, bounds)
        self._registry.register(histogram)
        return histogram


class _LoopAges(Collector):
    def __init__(self, ages: Ages) -> None:
        self._ages = ages

    def describe(self) -> Iterable[Metric]:
        return [self._family()]  # or registering would ask for ages before any loop runs

    def collect(self) -> Iterable[Metric]:
        family = self._family()
        for loop, seconds in self._ages().items():
            family.add_metric([loop], seconds)
        yield family

    def _family(self) -> GaugeMetricFamily:
        told = "Since the loop last came round."
        return GaugeMetricFamily("webhookd_loop_last_turn_seconds", told, labels=["loop"])


def _result_of(verdict: Verdict) -> str:
    if verdict.delivered:
        return "success"
    return "exhausted" if verdict.retry_in is None else "failed"


def _class_of(outcome: Outcome) -> str:
    match outcome.result:
        case Response(status) if 200 <= status <= 599:
            return CLASSES[status // 100 - 2]
        case Response():
            return "other"
        case Failure():
            return "none"


def _version() -> str:
    try:
        return version("penguinmails-webhooks")
    except PackageNotFoundError:  # run from a checkout
        return "unknown"
