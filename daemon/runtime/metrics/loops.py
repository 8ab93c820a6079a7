"""The age of each loop's last turn, computed at each scrape."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Ages = Callable[[], Mapping[str, float]]


class LoopAges(Collector):
    """The gauge `webhookd_loop_last_turn_seconds`, one sample per loop."""

    def __init__(self, ages: Ages) -> None:
        self._ages = ages

    def describe(self) -> Iterable[Metric]:
        """Yield the empty gauge, so that registering does not ask for ages before a loop runs."""
        return [self._gauge()]

    def collect(self) -> Iterable[Metric]:
        """Yield the gauge with each loop's age in seconds."""
        gauge = self._gauge()
        for loop, seconds in self._ages().items():
            gauge.add_metric([loop], seconds)
        yield gauge

    def _gauge(self) -> GaugeMetricFamily:
        return GaugeMetricFamily(
            "webhookd_loop_last_turn_seconds",
            "Seconds since the loop's last turn.",
            labels=["loop"],
        )
