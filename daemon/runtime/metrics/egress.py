"""Metrics of connections and name lookups."""

from daemon.runtime.metrics.registry import MetricsRegistry


class EgressMetrics:
    """Each attribute is the metric of the same name, after `webhookd_`."""

    def __init__(self, registry: MetricsRegistry) -> None:
        self.connections_kept = registry.gauge(
            "connections_kept", "Idle connections to receivers, kept for the next request."
        )
        self.lookups = registry.gauges(
            "lookups",
            "Lookups of names not known to work: those that have a place, and those that wait.",
            label="state",
            values=("running", "waiting"),
        )
        self.lookups_limit = registry.gauge(
            "lookups_limit", "Most lookups of such names at a time."
        )
