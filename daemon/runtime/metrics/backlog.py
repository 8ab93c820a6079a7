"""
Metrics of what waits in the database, and of the state of webhooks.

They are those of the whole installation: every daemon on one database reports the same.
"""

from daemon.core.model.backlog import Backlog, PartitionRange
from daemon.core.model.system import MailQueue
from daemon.runtime.metrics.registry import MetricsRegistry


class BacklogMetrics:
    """Gauges, set some seconds apart: nothing is asked of the database by a scrape."""

    def __init__(self, registry: MetricsRegistry) -> None:
        gauge, gauges = registry.gauge, registry.gauges
        self.pending: int | None = None
        self._inbox_events = gauge(
            "inbox_events", "Events of which not all deliveries are made; stops at 10,000."
        )
        self._inbox_oldest = gauge(
            "inbox_oldest_seconds", "How long the first event of the inbox has been there."
        )
        self._pending = gauge(
            "pending_deliveries", "Attempts that are pending, due or not; stops at 100,000."
        )
        self._due = gauge(
            "pending_deliveries_due",
            "Pending attempts that are due, of held, failing and paused webhooks, too.",
        )
        self._webhooks = gauges(
            "webhooks",
            "Webhooks in trouble, and those paused on request; 20,000 are looked at.",
            label="state",
            values=("failing", "paused_by_failures", "paused_by_request"),
        )
        self._circuits = gauges(
            "circuits",
            "Failing webhooks: open until the next attempt may begin, half_open from then on.",
            label="state",
            values=("open", "half_open"),
        )
        self._mails = gauges(
            "mail_notices",
            "Notices that wait to be mailed, and those that were given up; stops at 10,000.",
            label="state",
            values=("waiting", "given_up"),
        )
        self._mail_oldest = gauge(
            "mail_oldest_seconds", "How long the oldest notice has been due to be mailed."
        )
        self._partitions = gauge("history_partitions", "Partitions of past deliveries.")
        self._days_ahead = gauge(
            "history_partition_days_ahead",
            "Days after today that have their partition; they are made a week ahead.",
        )
        self._oldest_days = gauge(
            "history_oldest_partition_days", "Age of the first partition of past deliveries."
        )

    def observe(self, backlog: Backlog) -> None:
        """Show what waits, and how webhooks are doing; what was not counted stays as it was."""
        if backlog.inbox_events is not None:
            self._inbox_events.set(backlog.inbox_events)
            self._inbox_oldest.set(max(0.0, backlog.inbox_oldest_seconds or 0.0))
        if backlog.pending is not None and backlog.due is not None:
            self.pending = backlog.pending
            self._pending.set(backlog.pending)
            self._due.set(backlog.due)
        if backlog.failing is not None and backlog.may_probe is not None:
            self._webhooks["failing"].set(backlog.failing)
            self._webhooks["paused_by_failures"].set(backlog.paused_by_failures or 0)
            self._webhooks["paused_by_request"].set(backlog.paused_by_request or 0)
            self._circuits["open"].set(backlog.failing - backlog.may_probe)
            self._circuits["half_open"].set(backlog.may_probe)

    def observe_mails(self, queue: MailQueue) -> None:
        """Show what waits to be mailed."""
        self._mails["waiting"].set(queue.waiting)
        self._mails["given_up"].set(queue.given_up)
        self._mail_oldest.set(max(0.0, queue.oldest_seconds or 0.0))

    def observe_partitions(self, found: PartitionRange) -> None:
        """Show how far the partitions reach."""
        self._partitions.set(found.partitions)
        self._days_ahead.set(found.days_ahead)
        self._oldest_days.set(found.oldest_days)
