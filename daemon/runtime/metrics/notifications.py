"""Metrics of notices about endpoints, and of the mail that reports them."""

from daemon.core.model.notices import NoticeKind
from daemon.runtime.metrics.registry import MetricsRegistry


class NotificationMetrics:
    """Each attribute is the metric of the same name, after `webhookd_`."""

    def __init__(self, registry: MetricsRegistry) -> None:
        self.notices = registry.counters(
            "notices", "Notices of endpoints' transitions.", label="kind", values=NoticeKind
        )
        self.mails_sent = registry.counter("mails_sent", "Notices that were mailed.")
        self.mails_failed = registry.counter("mails_failed", "Failed attempts to mail a notice.")
