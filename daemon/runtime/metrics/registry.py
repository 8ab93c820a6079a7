"""Declare metrics in a registry of their own; every name begins with `webhookd_`."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

import prometheus_client as prometheus
from prometheus_client.registry import Collector

from daemon.runtime.metrics.histogram import Histogram

Label = TypeVar("Label", bound=Hashable)


class MetricsRegistry:
    """Declares counters, gauges and histograms, and renders them with the process's own metrics."""

    def __init__(self) -> None:
        # Creation times would double the page without a use.
        prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=self._registry)

    def counter(self, name: str, description: str) -> prometheus.Counter:
        """Declare `webhookd_<name>_total`."""
        return prometheus.Counter(f"webhookd_{name}", description, registry=self._registry)

    def counters(
        self, name: str, description: str, *, label: str, values: Iterable[Label]
    ) -> Mapping[Label, prometheus.Counter]:
        """
        Declare `webhookd_<name>_total` with one label; return the counter of each of its values.

        Binding every value now makes counting cheap, and a value that has not occurred is 0 rather
        than absent.
        """
        family = prometheus.Counter(
            f"webhookd_{name}", description, [label], registry=self._registry
        )
        return {value: family.labels(str(value)) for value in values}

    def gauge(self, name: str, description: str) -> prometheus.Gauge:
        """Declare the gauge `webhookd_<name>`."""
        return prometheus.Gauge(f"webhookd_{name}", description, registry=self._registry)

    def gauges(
        self, name: str, description: str, *, label: str, values: Iterable[Label]
    ) -> Mapping[Label, prometheus.Gauge]:
        """Declare the gauge `webhookd_<name>` with one label; return that of each of its values."""
        family = prometheus.Gauge(f"webhookd_{name}", description, [label], registry=self._registry)
        return {value: family.labels(str(value)) for value in values}

    def histogram(self, name: str, description: str, *, bounds: Sequence[float]) -> Histogram:
        """Declare the histogram `webhookd_<name>` with the buckets' upper `bounds`, ascending."""
        histogram = Histogram(f"webhookd_{name}", description, bounds)
        self.register(histogram)
        return histogram

    def info(self, name: str, description: str, values: Mapping[str, str]) -> None:
        """Declare `webhookd_<name>_info`, whose labels are `values`."""
        info = prometheus.Info(f"webhookd_{name}", description, registry=self._registry)
        info.info(dict(values))

    def register(self, collector: Collector) -> None:
        """Add a metric that computes its value at each scrape."""
        self._registry.register(collector)

    def render(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return prometheus.generate_latest(self._registry)
