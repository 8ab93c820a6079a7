"""Metrics of maintenance: retention and secrets at rest."""

from daemon.runtime.metrics.registry import MetricsRegistry

RETENTION_TABLES = (
    *("deliveries", "events", "replays", "notices"),
    *("confirmations", "mail_recipients"),
    *("audit", "tenant_tokens", "portal_links", "operator_sessions"),
    *("idempotency_keys", "subscription_changes", "stats", "stats_totals"),
    "webhook_history",
)


class MaintenanceMetrics:
    """Each attribute is the metric of the same name, after `webhookd_`."""

    def __init__(self, registry: MetricsRegistry) -> None:
        self.rows_deleted = registry.counters(
            "rows_deleted",
            "Rows deleted because of their age.",
            label="table",
            values=RETENTION_TABLES,
        )
        self.webhooks_unsealed = registry.gauge(
            "webhooks_unsealed", "Webhooks whose secrets may be stored in plain text."
        )
        self.webhooks_unreadable = registry.gauge(
            "webhooks_unreadable", "Webhooks with a secret that cannot be opened."
        )
