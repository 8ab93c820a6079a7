"""All metrics of one daemon."""

import platform
from collections.abc import Callable, Mapping

from prometheus_client.exposition import CONTENT_TYPE_LATEST

from daemon.core.model.pool_usage import PoolUsage
from daemon.runtime.metrics.admin import AdminMetrics
from daemon.runtime.metrics.attempts import AttemptMetrics
from daemon.runtime.metrics.backlog import BacklogMetrics
from daemon.runtime.metrics.checks import Checks, Verdicts
from daemon.runtime.metrics.connection_pools import ConnectionPools
from daemon.runtime.metrics.egress import EgressMetrics
from daemon.runtime.metrics.loops import Ages, LoopAges
from daemon.runtime.metrics.maintenance import MaintenanceMetrics
from daemon.runtime.metrics.notifications import NotificationMetrics
from daemon.runtime.metrics.pipeline import PipelineMetrics
from daemon.runtime.metrics.registry import MetricsRegistry
from daemon.runtime.metrics.reload import ReloadMetrics
from daemon.runtime.metrics.results import ResultMetrics
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
        self.reload = ReloadMetrics(self._registry)
        self.backlog = BacklogMetrics(self._registry)
        self.egress = EgressMetrics(self._registry)
        self.attempts = AttemptMetrics(self._registry)
        self.pipeline = PipelineMetrics(self._registry)
        self.results = ResultMetrics(self._registry)
        self.notifications = NotificationMetrics(self._registry)
        self.maintenance = MaintenanceMetrics(self._registry)
        self.admin = AdminMetrics(self._registry)

    def render(self) -> bytes:
        """Return every metric in the Prometheus text format, for `content_type`."""
        return self._registry.render()

    def follow_checks(self, verdicts: Verdicts) -> None:
        """Report, at each scrape, whether the daemon is ready; call this once."""
        self._registry.register(Checks(verdicts))

    def follow_pools(self, pools: Mapping[str, Callable[[], PoolUsage]]) -> None:
        """Report, at each scrape, the use of pools of database connections; call this once."""
        self._registry.register(ConnectionPools(pools))

    def follow_loops(self, ages: Ages) -> None:
        """Report, at each scrape, the seconds since each loop's last turn; call this once."""
        self._registry.register(LoopAges(ages))
