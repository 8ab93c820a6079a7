"""Metrics of the pipeline and of replays: fan-out, claims, lanes, holds."""

from daemon.runtime.metrics.registry import MetricsRegistry

DATABASE_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)


class PipelineMetrics:
    """Each attribute is the metric of the same name, after `webhookd_`."""

    def __init__(self, registry: MetricsRegistry) -> None:
        counter, gauge = registry.counter, registry.gauge
        self.events_fanned_out = counter("events_fanned_out", "Events matched against webhooks.")
        self.deliveries_created = counter("deliveries_created", "Deliveries created from events.")
        self.replayed_deliveries = counter("replayed_deliveries", "Deliveries created by replays.")
        self.claim_seconds = registry.histogram(
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
        self.notification_queue_usage = gauge(
            "notification_queue_usage",
            "Part of PostgreSQL's queue of notifications that is in use, from 0 to 1.",
        )
        self.subscriptions_stopped = gauge(
            "subscriptions_stopped",
            "Subscriptions of logical replication by which no rows come, for a minute or longer.",
        )
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
