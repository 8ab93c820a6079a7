"""Metrics of the admin port."""

from daemon.runtime.metrics.registry import MetricsRegistry


class AdminMetrics:
    """Each attribute is the metric of the same name, after `webhookd_`."""

    def __init__(self, registry: MetricsRegistry) -> None:
        self.api_requests_refused = registry.counter(
            "api_requests_refused", "API requests refused because too many of their caller waited."
        )
        self.api_responses_dropped = registry.counter(
            "api_responses_dropped",
            "Responses whose connections were aborted, because their clients left most of all"
            " unread and others needed the memory.",
        )
