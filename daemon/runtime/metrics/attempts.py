"""Metrics of delivery attempts: results, responses, faults and durations."""

import collections
from collections.abc import Sequence

import prometheus_client as prometheus

from daemon.core.model.attempts import (
    AttemptResult,
    Failure,
    FailureKind,
    Outcome,
    Response,
    Verdict,
)
from daemon.runtime.metrics.registry import MetricsRegistry

RESULTS = ("success", "failed", "exhausted")
STATUS_CLASSES = ("2xx", "3xx", "4xx", "5xx", "other", "none")
# Another attempt has succeeded, one was pending already, or an interrupted fan-out had made it.
DUPLICATES = ("delivered", "pending", "made_before")

NETWORK_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
DELAY_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0, 300.0, 3600.0)


class AttemptMetrics:
    """Counts and times attempts."""

    def __init__(self, registry: MetricsRegistry) -> None:
        self.made = 0
        self._results = registry.counters(
            "attempts", "Attempts made.", label="result", values=RESULTS
        )
        self._faults = registry.counters(
            "attempt_faults", "Attempts that got no response.", label="fault", values=FailureKind
        )
        self._responses = registry.counters(
            "responses",
            "Attempts by class of response status.",
            label="class",
            values=STATUS_CLASSES,
        )
        self.duplicates_avoided = registry.counters(
            "duplicates_avoided",
            "Attempts that were not made, because another one of the event does their work.",
            label="because",
            values=DUPLICATES,
        )
        self.spans = registry.counters(
            "spans",
            "Spans of attempts that the collector took, or that were lost.",
            label="result",
            values=("exported", "lost"),
        )
        self._seconds = registry.histogram(
            "attempt_seconds",
            "Duration of attempts, from name lookup to the last byte read.",
            bounds=NETWORK_SECONDS,
        )
        self._commit_to_send_seconds = registry.histogram(
            "commit_to_send_seconds",
            "Delay of first attempts, from the event's insert, or that of a row that waited.",
            bounds=DELAY_SECONDS,
        )

    def observe(self, batch: Sequence[AttemptResult]) -> None:
        """Count the results, faults, status classes and durations of a batch of attempts."""
        self.made += len(batch)
        took_ms = collections.Counter([each.outcome.took_ms for each in batch])
        for each, times in took_ms.items():
            self._seconds.observe(each / 1000, times=times)
        counts: collections.Counter[prometheus.Counter] = collections.Counter()
        failed = [each for each in batch if not each.verdict.delivered]
        for attempt in failed:
            outcome = attempt.outcome
            counts[self._results[_failed(attempt.verdict)]] += 1
            counts[self._responses[_status_class(outcome)]] += 1
            if isinstance(outcome.result, Failure):
                counts[self._faults[outcome.result.kind]] += 1
        counts[self._results["success"]] += len(batch) - len(failed)
        counts[self._responses["2xx"]] += len(batch) - len(failed)
        for counter, count in counts.items():
            counter.inc(count)

    def observe_commit_to_send(self, seconds: float) -> None:
        """
        Observe the seconds from an event's insert until its first attempt.

        Of one that waited as a pending row: from the insert of that row.
        """
        # PostgreSQL's clock may be ahead of ours.
        self._commit_to_send_seconds.observe(max(0.0, seconds))


def _failed(verdict: Verdict) -> str:
    return "exhausted" if verdict.retry_in is None else "failed"


def _status_class(outcome: Outcome) -> str:
    match outcome.result:
        case Response(status) if 200 <= status <= 599:
            return STATUS_CLASSES[status // 100 - 2]
        case Response():
            return "other"
        case Failure():
            return "none"
