"""The use of pools of database connections, read at each scrape."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from daemon.core.model.pool_usage import PoolUsage


class ConnectionPools(Collector):
    """The gauges `webhookd_database_connections` and `webhookd_database_connections_max`."""

    def __init__(self, pools: Mapping[str, Callable[[], PoolUsage]]) -> None:
        self._pools = pools

    def collect(self) -> Iterable[Metric]:
        """Yield the connections of each pool by their state, and their bounds."""
        connections = GaugeMetricFamily(
            "webhookd_database_connections",
            "Open connections to PostgreSQL, those that listen excepted.",
            labels=["pool", "state"],
        )
        most = GaugeMetricFamily(
            "webhookd_database_connections_max",
            "Most connections of the pool: `database.pool_size` for deliveries.",
            labels=["pool"],
        )
        for name, usage in self._pools.items():
            now = usage()
            connections.add_metric([name, "in_use"], now.opened - now.idle)
            connections.add_metric([name, "idle"], now.idle)
            most.add_metric([name], now.most)
        yield connections
        yield most
