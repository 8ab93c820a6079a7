"""All metrics of one daemon."""

import platform

from prometheus_client.exposition import CONTENT_TYPE_LATEST

from daemon.runtime.metrics.admin import AdminMetrics
from daemon.runtime.metrics.attempts import AttemptMetrics
from daemon.runtime.metrics.loops import Ages, LoopAges
from daemon.runtime.metrics.maintenance import MaintenanceMetrics
from daemon.runtime.metrics.notifications import NotificationMetrics
from daemon.runtime.metrics.pipeline import PipelineMetrics
from daemon.runtime.metrics.registry import MetricsRegistry
from daemon.runtime.version import program_version


class Metrics:
    """All metrics of one daemon, in a registry of their own; not thread-safe."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = MetricsRegistry()
        self._registry.info(
            "build",
            "What is running.",
            {"version": program_version(), "python": platform.python_version()},
        )
        self.attempts = AttemptMetrics(self._registry)
        self.pipeline = PipelineMetrics(self._registry)
        self.notifications = NotificationMetrics(self._registry)
        self.maintenance = MaintenanceMetrics(self._registry)
        self.admin = AdminMetrics(self._registry)

    def render(self) -> bytes:
        """Return every metric in the Prometheus text format, for `content_type`."""
        return self._registry.render()

    def follow_loops(self, ages: Ages) -> None:
        """Report, at each scrape, the seconds since each loop's last turn; call this once."""
        self._registry.register(LoopAges(ages))
