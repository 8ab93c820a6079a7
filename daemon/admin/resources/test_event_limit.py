"""
A limit on concurrent test events, so that they do not take the sockets of deliveries.

A request beyond the limit is refused at once: a queue would grow without bound.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from daemon.admin.api.problems import RETRY_SOON, Problem
from daemon.core.model.ids import TenantId

MAX_CONCURRENT = 16
MAX_PER_TENANT = 4


class TestEventLimit:
    """Counts the test events in progress, per tenant."""

    def __init__(self) -> None:
        self._in_progress: Counter[TenantId] = Counter()

    @contextmanager
    def slot(self, tenant_id: TenantId) -> Iterator[None]:
        """Hold a slot. Raises Problem: 429 at the tenant's limit, 503 at the limit of all."""
        if self._in_progress[tenant_id] >= MAX_PER_TENANT:
            sentence = f"{MAX_PER_TENANT} test events are in progress: wait until one finishes"
            raise Problem(429, sentence, headers=RETRY_SOON)
        if self._in_progress.total() >= MAX_CONCURRENT:
            sentence = "too many test events are in progress: try again in a few seconds"
            raise Problem(503, sentence, headers=RETRY_SOON)
        self._in_progress[tenant_id] += 1
        try:
            yield
        finally:
            self._in_progress[tenant_id] -= 1
            if not self._in_progress[tenant_id]:
                del self._in_progress[tenant_id]
