"""
Prometheus metrics of one daemon, declared by subject: one line in a subject's class is a metric.

No metric is labelled by endpoint or tenant: their number has no bound, and every scrape would pay
for it.
"""

from daemon.runtime.metrics.metrics import Metrics

__all__ = ["Metrics"]
