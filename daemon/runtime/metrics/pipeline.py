"""Metrics of the pipeline and of replays: fan-out, claims, stored results, lanes."""

from daemon.runtime.metrics.registry import MetricsRegistry

DATABASE_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
BATCH_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


class PipelineMetrics:
    """Each attribute is the metric of the same name, after `webhookd_`."""

    def __init__(self, registry: MetricsRegistry) -> None:
        counter, gauge, histogram = registry.counter, registry.gauge, registry.histogram
        self.events_fanned_out = counter("events_fanned_out", "Events matched against webhooks.")
        self.deliveries_created = counter("deliveries_created", "Deliveries created from events.")
        self.replayed_deliveries = counter("replayed_deliveries", "Deliveries created by replays.")
        self.claim_seconds = histogram(
            "claim_seconds", "Transactions that claim deliveries.", bounds=DATABASE_SECONDS
        )
        self.postponed = counter("postponed", "Attempts postponed because of a fault of our own.")
        self.oldest_postponed_seconds = gauge(
            "oldest_postponed_seconds", "How long the delivery has waited that was postponed first."
        )
        self._stalls = counter("stalls", "Times that the event loop stood still.")
        self._stalled_seconds = counter(
            "stalled_seconds", "How long the event loop stood still in all."
        )
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
            "held_results", "Results that wait for rows which other transactions hold."
        )
        self.leases_lost = counter(
            "leases_lost", "Results that came after the lease and were not stored."
        )
        self.notification_queue_usage = gauge(
            "notification_queue_usage",
            "Part of PostgreSQL's queue of notifications that is in use, from 0 to 1.",
        )
        self.results_waiting = gauge("results_waiting", "Results that wait to be stored.")
        self.in_flight_limit = gauge(
            "in_flight_limit", "Most requests in flight: `delivery.concurrency`."
        )
        self.in_flight = gauge("in_flight", "Requests in flight.")
        self.everything_held = gauge(
            "everything_held", "1 while an operator holds all deliveries, else 0."
        )
        self.tenants_held = gauge("tenants_held", "Tenants of which an operator holds deliveries.")
        self.endpoints_due = gauge("endpoints_due", "Endpoints that have deliveries due.")
        self.pending_lag_seconds = gauge(
            "pending_lag_seconds",
            "How late the oldest due delivery of an active endpoint is.",
        )

    def observe_stall(self, seconds: float) -> None:
        """Count one stall of the event loop."""
        self._stalls.inc()
        self._stalled_seconds.inc(seconds)
