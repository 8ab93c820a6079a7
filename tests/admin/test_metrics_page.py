"""The page of metrics is rendered for at most a tenth of the time."""

import time

import pytest

from daemon.admin.server.health_routes import MetricsPage
from daemon.runtime.metrics import Metrics


class SlowMetrics(Metrics):
    """Each rendering takes a second of the test's clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.rendered = 0

    def render(self) -> bytes:
        self.now += 1.0
        self.rendered += 1
        return b"page %d" % self.rendered


def test_the_page_is_served_as_it_was_for_nine_times_its_rendering(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    metrics = SlowMetrics()
    monkeypatch.setattr(time, "monotonic", lambda: metrics.now)
    page = MetricsPage(metrics)

    assert page.render() == b"page 1"
    metrics.now += 8.9
    assert page.render() == b"page 1"
    metrics.now += 0.2
    assert page.render() == b"page 2"
