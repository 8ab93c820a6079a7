"""Metrics of notices about endpoints, and of the mail that reports them."""

from daemon.core.model.notices import NoticeKind
from daemon.runtime.metrics.registry import MetricsRegistry


class NotificationMetrics:
    """Each attribute is the metric of the same name, after `webhookd_`."""

    def __init__(self, registry: MetricsRegistry) -> None:
        self.notices = registry.counters(
            "notices", "Notices of endpoints' transitions.", label="kind", values=NoticeKind
        )
        self.mails_sent = registry.counter("mails_sent", "Mails with notices that were sent.")
        self.mails_failed = registry.counter("mails_failed", "Failed attempts to send a mail.")
        self.notices_merged = registry.counter(
            "notices_merged", "Notices that came in a mail with an earlier one."
        )
        self.notices_put_off = registry.counter(
            "notices_put_off", "Notices put off because their recipient was mailed shortly before."
        )
        self.confirmations_sent = registry.counter(
            "confirmations_sent", "Mails that asked the owner of an address to confirm it."
        )
