"""Metrics of results: those that wait to be stored, and the transactions that store them."""

from daemon.runtime.metrics.pipeline import DATABASE_SECONDS
from daemon.runtime.metrics.registry import MetricsRegistry

BATCH_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class ResultMetrics:
    """Each attribute is the metric of the same name, after `webhookd_`."""

    def __init__(self, registry: MetricsRegistry) -> None:
        counter, gauge, histogram = registry.counter, registry.gauge, registry.histogram
        self.result_store_seconds = histogram(
            "result_store_seconds", "Transactions that store results.", bounds=DATABASE_SECONDS
        )
        self.result_batch_size = histogram(
            "result_batch_size", "Results stored in one transaction.", bounds=BATCH_SIZES
        )
        self.oldest_result_seconds = gauge(
            "oldest_result_seconds", "How long the oldest result waits to be stored."
        )
        self.held_results = gauge(
            "held_results",
            "Results stored apart: others hold their rows, or each reads many dead ones.",
        )
        self.leases_lost = counter(
            "leases_lost", "Results that came after the lease and were not stored."
        )
        self.results_waiting = gauge("results_waiting", "Results that wait to be stored.")
