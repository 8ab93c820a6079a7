"""Whether the daemon is ready, and each check of that, read at each scrape."""

from collections.abc import Callable, Iterable, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Verdicts = Callable[[], tuple[bool, Mapping[str, bool]]]


class Checks(Collector):
    """The gauges `webhookd_ready` and `webhookd_check_ok`, each 1 or 0."""

    def __init__(self, verdicts: Verdicts) -> None:
        self._verdicts = verdicts

    def describe(self) -> Iterable[Metric]:
        """Yield empty gauges, so that registering asks for no verdict."""
        return [_ready(), _checks()]

    def collect(self) -> Iterable[Metric]:
        """Yield the verdict on the whole, and on each check."""
        is_ready, verdicts = self._verdicts()
        ready, checks = _ready(), _checks()
        ready.add_metric([], is_ready)
        for name, is_ok in verdicts.items():
            checks.add_metric([name], is_ok)
        yield ready
        yield checks


def _ready() -> GaugeMetricFamily:
    return GaugeMetricFamily("webhookd_ready", "1 if /readyz answers 200, else 0.")


def _checks() -> GaugeMetricFamily:
    description = "1 if this check of /readyz holds, else 0."
    return GaugeMetricFamily("webhookd_check_ok", description, labels=["check"])
