"""
A limit on concurrent test events, so that they do not take the sockets of deliveries.

A request beyond the limit is refused at once: a queue would grow without bound. Tenants that hold
their slots for as long as they can leave a reserve to those that have none.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from daemon.admin.api.problems import RETRY_SOON, Problem
from daemon.core.model.ids import TenantId
from daemon.core.scheduling.owned_places import OwnedPlaces

MAX_CONCURRENT = 64
MAX_PER_TENANT = 4
RESERVE = 64  # one for each tenant without any
# Beside more than these, no other takes longer, whatever timeout its webhook has of its own.
CROWDED = 48
CROWDED_SECONDS = 5.0


class TestEventLimit:
    """Counts the test events in progress, per tenant."""

    def __init__(self) -> None:
        self._places = OwnedPlaces(MAX_CONCURRENT, most_of_one=MAX_PER_TENANT, reserve=RESERVE)

    @contextmanager
    def slot(self, tenant_id: TenantId) -> Iterator[float | None]:
        """
        Hold a slot; yields the most seconds that the test may take, None for its webhook's own.

        Raises Problem: 429 at the tenant's limit, 503 when those of others leave it no more.
        """
        if self._places.has_most(tenant_id):
            sentence = f"{MAX_PER_TENANT} test events are in progress: wait until one finishes"
            raise Problem(429, sentence, headers=RETRY_SOON)
        if not self._places.take(tenant_id):
            sentence = "too many test events are in progress: try again in a few seconds"
            raise Problem(503, sentence, headers=RETRY_SOON)
        crowded = MAX_CONCURRENT - self._places.free > CROWDED
        try:
            yield CROWDED_SECONDS if crowded else None
        finally:
            self._places.give_back(tenant_id)
